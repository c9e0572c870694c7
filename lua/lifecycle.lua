-- What a job does: the life of an instance, the package's bootstrap, its models, or a hook.
local host, base, errors, async, forge, sandbox = ...
local error, getmetatable, next, pcall, setmetatable, tostring, type, xpcall =
  base.error, base.getmetatable, base.next, base.pcall, base.setmetatable, base.tostring, base.type, base.xpcall
local keep, on_error = host.keep, host.on_error
local require, randomseed = sandbox.require, base.math.randomseed
local warn = forge.api.log.warn

-- What every extension's class has.
local Base = {}
Base.__index = Base

function Base:get_output_data() return self.outputs end

local classes = setmetatable({}, { __mode = "k" })

-- forge.extension{config = models.X} -> a class for the methods initialize, execute, get_output_data, cleanup, and,
-- where there is something to do, destroy and refresh.
forge.api.extension = function(options)
  if type(options) ~= "table" then
    errors.raise("call.argument", "forge.extension: argument 1 must be a table {config = …}, found " .. type(options),
      "", false)
  end
  for key, value in next, options do
    if key ~= "config" then
      errors.raise("call.argument", "forge.extension: there is no option `" .. tostring(key) .. "`; there is config",
        "", false)
    end
    if type(value) ~= "table" then
      errors.raise("call.argument", "forge.extension: config must be a model of models.lua, found " .. type(value), "",
        false)
    end
  end
  local class = setmetatable({}, Base)
  class.__index = class
  classes[class] = true
  return class
end

local function call(object, name)
  local method = object[name]
  if method == nil then return end
  if type(method) ~= "function" then
    errors.raise("extension.class", "the extension's `" .. name .. "` must be a function, found " .. type(method), "",
      false)
  end
  return method(object)
end

local function work(object)
  call(object, "initialize")
  if object.execute == nil then
    errors.raise("extension.class", "the extension has no `execute`", "add function Extension:execute() … end", false)
  end
  call(object, "execute")
  async.settle()
  keep("outputs", call(object, "get_output_data"))
end

local function clean(object)
  call(object, "cleanup")
  async.settle()
end

local function hand_over(object)
  local state = base.rawget(object, "state")
  object.state = {}
  if state == nil or type(state) == "table" and next(state) == nil then return end
  keep("state", state)
end

local function unmake(object)
  call(object, "initialize")
  call(object, "destroy")
  async.settle()
end

local function look_again(object)
  call(object, "initialize")
  call(object, "refresh")
  async.settle()
end

-- cleanup follows also when the work failed; then its own failure is only logged, and no state is handed over.
local function live(task, keeps_state, name, stack, attempt, config, state, runtime)
  local entry = host.module("init") and "init" or "extension"
  local class = require(entry)
  if type(class) ~= "table" or not classes[class] then
    errors.raise("extension.class", entry .. ".lua must return what forge.extension{…} made, found " .. type(class),
      "end the file with the line `return Extension`, its class", false)
  end
  local object = setmetatable({
    name = name, config = config, stack = { name = stack }, attempt = attempt, runtime = runtime, state = state or {},
    outputs = {},
  }, class)
  local ok, problem = xpcall(task, on_error, object)
  if ok then
    clean(object)
    if keeps_state then hand_over(object) end
    return
  end
  if not host.expired() then
    local clean_ok, other = pcall(clean, object)
    if not clean_ok then warn("cleanup after the failure failed too: " .. tostring(errors.normal(other))) end
  end
  error(problem, 0)
end

local function instance(...) return live(work, true, ...) end
local function destroy(...) return live(unmake, false, ...) end
local function refresh(...) return live(look_again, true, ...) end

local function bootstrap()
  local f = require("bootstrap")
  if type(f) ~= "function" then
    errors.raise("extension.bootstrap", "bootstrap.lua must return a function, found " .. type(f), "", false)
  end
  local value = f()
  async.settle()
  keep("runtime", value)
end

local function models()
  local list = require("models")
  if type(list) ~= "table" or getmetatable(list) == "task" then
    errors.raise("extension.models", "models.lua must return a table of models, found " .. type(list),
      "return { Config = s.object { … } }", false)
  end
  for name, model in next, list do
    if type(name) ~= "string" or type(model) ~= "table" then
      errors.raise("extension.models", "models.lua: `" .. tostring(name) .. "` must be a model, found " .. type(model),
        "write Config = s.object { … }", false)
    end
  end
  keep("models", list)
end

-- What a hook's author raises is the hook's word on what it guards; an error of a call that nobody caught is none.
local function judge(value)
  if errors.is_authors(value) and not host.expired() then
    value = errors.normal(value)
    if value.code ~= "limit.memory" then value.code = "hook.veto" end
  end
  return on_error(value)
end

local function answer(f, event)
  local value = f(event)
  async.settle()
  return value
end

-- Without an event the script is only run up to its function.
local function hook(script, event)
  local f = sandbox.run_file(script)
  if type(f) ~= "function" then
    errors.raise("hook.script", "the script must return a function, found " .. (f == true and "nothing" or type(f)),
      "write `return function(event) … end`", false)
  end
  if event == nil then return end
  local ok, value = xpcall(answer, judge, f, event)
  if not ok then error(value, 0) end
  keep("result", value)
end

local kinds = { [0] = instance, bootstrap, models, hook, destroy, refresh }

-- math.random begins with another number in every job: `seed` is drawn from the system when the worker starts and
-- stepped for each job. Whoever needs the same numbers again calls math.randomseed.
return function(kind, seed, ...)
  randomseed(seed)
  return kinds[kind](...)
end
