--- retry: calls a function again when it failed with an error that another try may mend.
local _, kit = ...
local forge = require "forge"

local retry = {}

---@class retry.Options
---@field attempts? integer how often in all, from 1; default 3
---@field delay? number seconds before the second attempt; default 1
---@field max_delay? number seconds, the longest wait; default 30
---@field factor? number by which the wait grows each time, from 1; default 2
---@field jitter? boolean waits between none and all of the time, evenly drawn; default true
---@field on? string[]|fun(error: table, attempt: integer): boolean which errors are tried again; default all

-- `on` holds codes, or is a function that says so; what has `retryable = false` is never tried again.

local function misuse(message) kit.raise("call.argument", "retry.call: " .. message, "", false) end

local function number(options, name, default, least)
  local value = options[name]
  if value == nil then return default end
  if type(value) ~= "number" or value ~= value or value < least or value > 86400 then
    misuse(name .. " must be a number from " .. least .. " to 86400, found " .. tostring(value))
  end
  return value
end

local known = { attempts = true, delay = true, max_delay = true, factor = true, jitter = true, on = true }

-- Whether an error is one to try again after: what is not retryable never is.
local function chooser(on)
  if on == nil then return function() return true end end
  if type(on) == "function" then return on end
  if type(on) ~= "table" then misuse("on must be a list of codes or a function, found " .. type(on)) end
  local codes = {}
  for i = 1, #on do
    if type(on[i]) ~= "string" then misuse("on must be a list of codes, found a " .. type(on[i]) .. " in it") end
    codes[on[i]] = true
  end
  if next(codes) == nil then misuse("on must be a list of at least one code") end
  return function(problem) return codes[problem.code] == true end
end

local function pack(...) return { n = select("#", ...), ... } end

--- Calls f(attempt) until it returns, and returns what it returned. The error of the last attempt is raised as it is,
--- and so is one with `retryable = false`, whatever `on` says.
---@param f fun(attempt: integer): ...
---@param options? retry.Options
---@return any ...
function retry.call(f, options)
  if type(f) ~= "function" then misuse("argument 1 (f) must be a function, found " .. type(f)) end
  options = options or {}
  if type(options) ~= "table" then misuse("argument 2 (options) must be a table, found " .. type(options)) end
  for key in next, options do
    if not known[key] then
      misuse("there is no option `" .. tostring(key) .. "`; there are attempts, delay, factor, jitter, max_delay, on")
    end
  end
  local attempts = number(options, "attempts", 3, 1)
  if attempts % 1 ~= 0 then misuse("attempts must be a whole number, found " .. attempts) end
  local delay, most = number(options, "delay", 1, 0), number(options, "max_delay", 30, 0)
  local factor = number(options, "factor", 2, 1)
  if options.jitter ~= nil and type(options.jitter) ~= "boolean" then
    misuse("jitter must be a boolean, found " .. type(options.jitter))
  end
  local again = chooser(options.on)
  for attempt = 1, attempts do
    local results = pack(forge.try(function() return true, f(attempt) end))
    if results[1] then return unpack(results, 2, results.n) end
    local problem = results[2]
    if attempt == attempts or problem.retryable == false or not again(problem, attempt) then error(problem, 0) end
    local wait = math.min(delay, most)
    if options.jitter ~= false then wait = wait * math.random() end
    forge.log.debug(("attempt %d of %d failed, the next one follows in %.1f s: %s"):format(attempt, attempts, wait,
      tostring(problem)))
    if wait > 0 then forge.time.sleep(wait) end
    delay = math.min(delay * factor, most)
  end
end

return retry
