--- hooks.time_window: lets instances, or the whole pipeline, run only at given times of the week. For hooks of
--- before_pipeline, after_plan and before_instance.
local _, kit = ...
local forge = require "forge"

local time_window = {}

---@class time_window.Window
---@field days? string|string[] `mon-fri`, `sat`, or a list of these; default every day
---@field from? string `HH:MM`; default 00:00
---@field to? string `HH:MM`, not included; default 24:00. Before `from`: on the day after

---@class time_window.Options: time_window.Window
---@field windows? time_window.Window[] several, in place of days, from and to
---@field utc_offset? string `+02:00`, `-05:30`; default UTC
---@field otherwise? "skip"|"veto" what happens at other times; default skip in before_instance, else veto
---@field now? fun(): number seconds since 1970; default forge.time.now

local DAYS = { "mon", "tue", "wed", "thu", "fri", "sat", "sun" }
local number_of = {}
for i, name in ipairs(DAYS) do number_of[name] = i end
local known = { days = true, from = true, to = true, windows = true, utc_offset = true, otherwise = true, now = true }
local DAY = 24 * 60                                      -- minutes

local function misuse(message) kit.raise("call.argument", "time_window: " .. message, "", false) end

local function minutes(value, name, default)
  if value == nil then return default end
  local hours, rest
  if type(value) == "string" then hours, rest = value:match("^(%d%d):(%d%d)$") end
  local time = hours and tonumber(hours) * 60 + tonumber(rest)
  if not time or tonumber(rest) > 59 or time > DAY then
    misuse(name .. " must be a time such as 22:00, from 00:00 to 24:00, found " .. tostring(value))
  end
  return time
end

-- Days as a set of numbers, 1 is Monday.
local function day_set(value)
  local set = {}
  if value == nil then value = "mon-sun" end
  if type(value) == "string" then value = { value } end
  if type(value) ~= "table" or #value == 0 then
    misuse("days must be `mon-fri` or a list such as { \"mon\", \"sat-sun\" }")
  end
  for _, item in ipairs(value) do
    local first, last = tostring(item):match("^(%a+)%-(%a+)$")
    if not first then first, last = item, item end
    local from, to = number_of[first], number_of[last]
    if not from or not to then
      misuse("days: found `" .. tostring(item) .. "`; days are " .. table.concat(DAYS, ", ") .. ", ranges are mon-fri")
    end
    local day = from
    set[day] = true
    while day ~= to do
      day = day % 7 + 1
      set[day] = true
    end
  end
  return set
end

local function clock(time) return ("%02d:%02d"):format(math.floor(time / 60), time % 60) end

local function read_window(window)
  if type(window) ~= "table" then misuse("a window must be a table, found " .. type(window)) end
  for key in next, window do
    if key ~= "days" and key ~= "from" and key ~= "to" then
      misuse("a window has days, from and to; found `" .. tostring(key) .. "`")
    end
  end
  local from, to = minutes(window.from, "from", 0), minutes(window.to, "to", DAY)
  local out = { days = day_set(window.days), from = from, to = to }
  if from == to then misuse("from and to are the same time, " .. clock(from) .. "; leave out both for a whole day") end
  if out.from == DAY then misuse("from must be before 24:00") end
  local days = window.days == nil and "every day" or type(window.days) == "table" and table.concat(window.days, ", ")
    or window.days
  out.text = days .. " " .. clock(out.from) .. " to " .. clock(out.to)
  return out
end

local function offset_of(text)
  if text == nil or text == "UTC" then return 0 end
  local sign, hours, rest
  if type(text) == "string" then sign, hours, rest = text:match("^([+-])(%d%d):(%d%d)$") end
  local offset = hours and tonumber(hours) * 60 + tonumber(rest)
  if not offset or tonumber(rest) > 59 or offset > 14 * 60 then
    misuse("utc_offset must be UTC or such as +02:00 (zones with summer time cannot be named), found "
      .. tostring(text))
  end
  return sign == "-" and -offset or offset
end

local function read(options)
  if type(options) ~= "table" then misuse("the options must be a table, found " .. type(options)) end
  for key in next, options do
    if not known[key] then
      misuse("there is no option `" .. tostring(key)
        .. "`; there are days, from, now, otherwise, to, utc_offset, windows")
    end
  end
  local windows = {}
  if options.windows ~= nil then
    if options.days ~= nil or options.from ~= nil or options.to ~= nil then
      misuse("give windows, or days, from and to, not both")
    end
    if type(options.windows) ~= "table" or #options.windows == 0 then
      misuse("windows must be a list of at least one window")
    end
    for i, window in ipairs(options.windows) do windows[i] = read_window(window) end
  else
    windows[1] = read_window { days = options.days, from = options.from, to = options.to }
  end
  if options.otherwise ~= nil and options.otherwise ~= "skip" and options.otherwise ~= "veto" then
    misuse("otherwise must be skip or veto, found " .. tostring(options.otherwise))
  end
  if options.now ~= nil and type(options.now) ~= "function" then
    misuse("now must be a function, found " .. type(options.now))
  end
  return {
    windows = windows, offset = offset_of(options.utc_offset), zone = options.utc_offset or "UTC",
    otherwise = options.otherwise, now = options.now or forge.time.now,
  }
end

local function inside(window, day, time)
  if window.from < window.to then return window.days[day] and time >= window.from and time < window.to end
  -- Over midnight it belongs to the day on which it begins.
  return window.days[day] and time >= window.from or window.days[(day + 5) % 7 + 1] and time < window.to
end

local function allows(o, now)
  local local_minutes = math.floor(now / 60) + o.offset
  local time = local_minutes % DAY
  local day = (math.floor(local_minutes / DAY) + 3) % 7 + 1 -- 1970-01-01 was a Thursday
  local texts = {}
  for i, window in ipairs(o.windows) do
    if inside(window, day, time) then return true end
    texts[i] = window.text
  end
  return false, ("it is %s %s (%s), which is outside of %s"):format(DAYS[day], clock(time), o.zone,
    table.concat(texts, "; "))
end

--- Whether a time is within the windows; where it is not, also a text that says so.
---@param options time_window.Options
---@param now? number seconds since 1970; default the time of day
---@return boolean, string?
function time_window.allows(options, now)
  local o = read(options)
  return allows(o, now or o.now())
end

--- A hook: what its script returns.
---@param options time_window.Options
---@return fun(event: table): table?
function time_window.hook(options)
  local o = read(options)
  return function(event)
    local instance = event.stage == "before_instance"
    if not instance and event.stage ~= "before_pipeline" and event.stage ~= "after_plan" then
      misuse("it can hold back nothing in " .. tostring(event.stage)
        .. "; use it in before_instance, before_pipeline or after_plan")
    end
    if o.otherwise == "skip" and not instance then
      misuse("otherwise = \"skip\" is for before_instance; " .. event.stage .. " has only veto")
    end
    local good, why = allows(o, o.now())
    if good then return nil end
    if o.otherwise == "veto" or not instance then
      forge.fail { code = "hook.veto", message = why, hint = "run it at another time", retryable = false }
    end
    return { skip = why }
  end
end

return time_window
