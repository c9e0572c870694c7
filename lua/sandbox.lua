-- The globals of an extension: an allow-list, copied; and `require`, for modules of the package and standard ones.
local host, base, errors, async, forge = ...
local error, pairs, rawget, select, setmetatable, tostring, type, xpcall =
  base.error, base.pairs, base.rawget, base.select, base.setmetatable, base.tostring, base.type, base.xpcall
local concat, find, match = base.table.concat, base.string.find, base.string.match
local api = forge.api

local sandbox = {}

local functions = {
  "assert", "error", "ipairs", "next", "pairs", "pcall", "select", "tonumber", "tostring", "type", "unpack",
  "rawequal", "rawget", "rawset", "getmetatable", "setmetatable",
}
local libraries = {
  string = {
    "byte", "char", "find", "format", "gmatch", "gsub", "len", "lower", "match", "rep", "reverse", "sub", "upper",
  },
  table = {
    "concat", "foreach", "foreachi", "getn", "insert", "maxn", "move", "remove", "sort",
  },
  math = {
    "abs", "acos", "asin", "atan", "atan2", "ceil", "cos", "cosh", "deg", "exp", "floor", "fmod", "frexp", "huge",
    "ldexp", "log", "log10", "max", "min", "modf", "pi", "pow", "rad", "random", "randomseed", "sin", "sinh",
    "sqrt", "tan", "tanh",
  },
  bit = { "arshift", "band", "bnot", "bor", "bswap", "bxor", "lshift", "rol", "ror", "rshift", "tobit", "tohex" },
  coroutine = { "create", "isyieldable", "resume", "running", "status", "wrap", "yield" },
}

-- What to use instead of a name that Lua programmers expect. Calls that this version does not have are left out.
local function calls(...)
  local there = {}
  for i = 1, select("#", ...), 2 do
    local name, words = select(i, ...)
    local group, member = match(name, "^([%w_]+)%.([%w_]+)$")
    local space = rawget(api, group or name)
    if space and (not group or rawget(space, member)) then there[#there + 1] = words end
  end
  if #there == 0 then return "the sandbox has nothing that stands for it" end
  return "use " .. concat(there, ", ")
end

local a_module = "put the code into a module of the package and `require` it"
local a_table = "keep values in locals and tables"
local absent = {
  io = "use forge.fs.read(path) and grant `read`",
  os = calls("time.now", "forge.time.now()", "time.format", "forge.time.format(seconds, format)", "env.get",
    "forge.env.get(name) and grant `env`", "process.run", "forge.process.run({…}) and grant `programs`", "fs.remove",
    "forge.fs.remove(path) or forge.fs.move(from, to) and grant `write`"),
  load = a_module, loadstring = a_module, loadfile = a_module, dofile = a_module,
  module = "return a table from the module's file",
  package = "`require` finds the package's own modules and the standard ones",
  debug = "errors carry the traceback of your files; use forge.try(f) to look at one",
  ffi = "extensions are plain Lua; use forge for what touches the world",
  jit = "extensions run interpreted; do JSON, YAML and digests with forge",
  collectgarbage = "memory is freed when the job ends", gcinfo = "memory is freed when the job ends",
  getfenv = a_table, setfenv = a_table,
  newproxy = "use setmetatable({}, {…})",
  forge = "write `local forge = require \"forge\"`",
}

local function raise_absent(name)
  errors.raise("lua.absent", "`" .. name .. "` is not available in extensions; "
    .. (absent[name] or a_module), "", false)
end

local globals = {}
sandbox.globals = globals
setmetatable(globals, {
  __metatable = "globals",
  __index = function(_, name)
    if absent[name] then raise_absent(name) end
    return nil
  end,
})

for _, name in base.ipairs(functions) do globals[name] = base[name] end
for name, members in pairs(libraries) do
  local copy = {}
  for _, member in base.ipairs(members) do copy[member] = base[name][member] end
  globals[name] = copy
end
globals.coroutine.yield = async.yield
globals._G = globals
globals._VERSION = base._VERSION

setmetatable(globals.string, {
  __metatable = "string",
  __index = function(_, name)
    if name == "dump" then raise_absent("string.dump") end
    return nil
  end,
})
local strings = base.getmetatable("")
strings.__index = globals.string
strings.__metatable = "string"

-- xpcall whose handler is not called once a deadline has passed: hooks are off while a handler runs that an error from
-- a hook has called, and a loop in it would never end.
local function guard(handler)
  return function(...)
    if host.expired() then return ... end
    return handler(...)
  end
end

function globals.xpcall(f, handler, ...)
  if type(handler) ~= "function" then
    error("bad argument #2 to 'xpcall' (function expected, got " .. type(handler) .. ")", 2)
  end
  return xpcall(f, guard(handler), ...)
end

local log = api.log.info
function globals.print(...)
  local words = {}
  for i = 1, select("#", ...) do words[i] = tostring((select(i, ...))) end
  log(concat(words, "\t"))
end

-- Modules ---------------------------------------------------------------------------------------------------------

local LOADING = {}
local loaded = { forge = api }
for name in pairs(libraries) do loaded[name] = globals[name] end
local chain = {}                                         -- names of the modules that are being loaded

-- What standard modules get beside their name: raise(code, message, hint, retryable, line, column), which puts the
-- author's line in front of the message unless there is a line of another text; nearest(word, table).
local kit = { raise = errors.raise, nearest = host.nearest }

-- Runs the chunk of a module that is needed for the first time; `into` keeps it under its name.
local function run(into, name, chunk, extra)
  into[name] = LOADING
  chain[#chain + 1] = name
  local ok, value = xpcall(chunk, host.on_error, name, extra)
  chain[#chain] = nil
  if not ok then
    into[name] = nil
    error(value, 0)
  end
  if value == nil then value = true end
  into[name] = value
  return value
end

local function require(name)
  if type(name) ~= "string" then
    errors.raise("module.name", "require: the module's name must be a string, found " .. type(name), "", false)
  end
  local found = loaded[name]
  if found == LOADING then
    errors.raise("module.circular", "require: modules that need each other: " .. concat(chain, " -> ") .. " -> "
      .. name, "move what both need into a third module", false)
  elseif found ~= nil then
    return found
  end
  if absent[name] then raise_absent(name) end
  if not match(name, "^[%w_%-]+[%w_%-%.]*$") or find(name, "..", 1, true) or match(name, "%.$") then
    errors.raise("module.name", "require: `" .. name .. "` is no module's name",
      "write names with dots, from the package's folder: `lib.words` is lib/words.lua", false)
  end
  local chunk, standard = host.module(name)
  if not chunk then
    errors.raise("module.missing", "require: there is no module `" .. name .. "`; the package has "
      .. host.modules(), "", false)
  end
  return run(loaded, name, chunk, standard and kit or nil)
end

globals.require = require
sandbox.require = require

-- A module of the package whose name is that of its file: what `require` has no name for.
function sandbox.run_file(name)
  local chunk = host.module(name)
  return run(loaded, name, chunk)
end

-- Standard modules that the prelude needs, whatever the package calls its own.
local own = {}
function forge.standard(name) return own[name] or run(own, name, host.standard(name), kit) end

return sandbox
