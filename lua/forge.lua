-- The `forge` table: what `require "forge"` returns. The calls come from the registry (src/registry/).
local host, base, errors, async = ...
local getmetatable, setmetatable, tostring, type = base.getmetatable, base.setmetatable, base.tostring, base.type
local match = base.string.match
local send, receive, check = host.send, async.receive, async.check

local forge = {}
local marks = { list = {}, map = {} }

-- A namespace: names that are not in it raise an error that says what there is.
local function namespace(path)
  local members = {}
  return setmetatable(members, {
    __metatable = "namespace",
    __index = function(_, name)
      local near = host.nearest(tostring(name), members)
      errors.raise("call.unknown", path .. "." .. tostring(name) .. " does not exist"
        .. (near ~= "" and "; did you mean " .. path .. "." .. near .. "?" or ""), "", false)
    end,
  })
end

-- A call of the core: `send` checks and encodes the arguments and returns the request's number.
local function core_call(index)
  return function(...)
    check()
    return receive(send(index, ...))
  end
end

-- One that is not answered.
local function core_notice(index)
  return function(...) send(index, ...) end
end

-- What an HTTP call returns: {status, headers, body} and :json().
local Response = {}
Response.__index = Response

local function http_call(index)
  return function(...)
    check()
    local response = receive(send(index, ...))
    return type(response) == "table" and setmetatable(response, Response) or response
  end
end

local api = namespace("forge")
forge.api = api
forge.marks = marks

for _, call in base.ipairs(host.calls) do
  local group, name = match(call.name, "^([%w_]+)%.([%w_]+)$")
  local make = group == "http" and http_call or call.replies and core_call or core_notice
  local f = call.run or make(call.index)
  if group then
    local there = base.rawget(api, group)
    if not there then
      there = namespace("forge." .. group)
      api[group] = there
    end
    there[name] = f
  else
    api[call.name] = f
  end
end

host.calls = nil                                         -- not for every VM's snapshot to carry along

-- With on_line a program is started, and its lines are asked for until it has ended: the function runs here, between
-- two host calls.
local run, start, read, kill = api.process.run, api.process.start, api.process.read, api.process.kill
api.process.run = function(argv, options, ...)
  local on_line = type(options) == "table" and base.rawget(options, "on_line")
  if not on_line then return run(argv, options, ...) end
  if type(on_line) ~= "function" then
    errors.raise("call.argument", "forge.process.run: `on_line` must be a function, found " .. type(on_line), "", false)
  end
  local rest = {}
  for name, value in base.next, options do
    if name ~= "on_line" then rest[name] = value end
  end
  local program = start(argv, rest, ...)
  local result
  async.finally(function()
    repeat
      local news = read(program)
      for _, line in base.ipairs(news.lines) do on_line(line.text, line.stream) end
      result = news.result
    until result
  end, function()
    if not result then kill(program) end
  end)
  return result
end

local decode = api.json.decode
function Response:json()
  if type(self) ~= "table" or type(self.body) ~= "string" then
    errors.raise("call.argument", "response:json(): the response has no body; call it with a colon", "", false)
  end
  return decode(self.body)
end

api.null = host.null
api.fail = errors.fail
api.try = errors.try
api.finally = async.finally
async.warn = api.log.warn

api.async = namespace("forge.async")
for _, name in base.ipairs { "spawn", "await", "all", "race", "map", "cancel" } do api.async[name] = async[name] end

-- Standard modules are compiled when they are first needed: a VM that renders nothing has no template language.
api.template = namespace("forge.template")
function api.template.render(...) return forge.standard("template").render(...) end

local function mark(call, kind)
  return function(t)
    if t == nil then t = {} end
    if type(t) ~= "table" then
      errors.raise("call.argument", call .. ": argument 1 must be a table, found " .. type(t), "", false)
    end
    local old = getmetatable(t)
    if old ~= nil and old ~= marks.list and old ~= marks.map then
      errors.raise("call.argument", call .. ": the table has a metatable of its own", "", false)
    end
    return setmetatable(t, marks[kind])
  end
end

-- forge.list(t), forge.map(t): t, which stays a list or a map when it is empty.
api.list = mark("forge.list", "list")
api.map = mark("forge.map", "map")

-- forge.download.all{ {…}, {…}, parallel = N }: what has a name is an option of the call.
local download_all = api.download.all
function api.download.all(files, options)
  if type(files) == "table" and options == nil then
    local list, named = setmetatable({}, marks.list), nil
    for key, value in base.pairs(files) do
      if type(key) == "number" then
        list[key] = value
      else
        named = named or {}
        named[key] = value
      end
    end
    if named then files, options = list, named end
  end
  return download_all(files, options)
end

return forge
