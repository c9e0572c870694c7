--- semver: versions as semver.org 2.0.0 says, and ranges of them as npm writes them.
local _, kit = ...

local semver = {}

local MAX = 2 ^ 53                                       -- the largest number that is exact

---@class semver.Version
---@field major integer
---@field minor integer
---@field patch integer
---@field prerelease (string|integer)[] empty for a release
---@field build string what stands behind `+`; takes no part in comparisons
local Version = {}
Version.__index = Version

local function refuse(code, message, hint) kit.raise(code, message, hint, false) end

local function invalid(text, why)
  refuse("semver.invalid", "`" .. text .. "` is no version: " .. why, "write MAJOR.MINOR.PATCH, as 1.2.3 or 1.2.3-rc.1")
end

local function number(text, whole)
  if #text > 1 and text:sub(1, 1) == "0" then invalid(whole, "the number " .. text .. " begins with 0") end
  local value = tonumber(text)
  if value > MAX then invalid(whole, "the number " .. text .. " is too large") end
  return value
end

-- The parts of `a.b.c`; numbers where they are digits only and `numeric` is set.
local function identifiers(text, whole, numeric)
  local list = {}
  for word in (text .. "."):gmatch("(.-)%.") do
    if not word:find("^[%w%-]+$") then
      invalid(whole, word == "" and "a part between dots is empty" or "`" .. word .. "` has other characters than "
        .. "letters, digits and `-`")
    end
    list[#list + 1] = numeric and word:find("^%d+$") and number(word, whole) or word
  end
  return list
end

--- A version of a text; a version is returned as it is. Errors: `semver.invalid`.
---@param text string|semver.Version
---@return semver.Version
function semver.parse(text)
  if getmetatable(text) == Version then return text end
  if type(text) ~= "string" then
    refuse("call.argument", "semver.parse: argument 1 (text) must be a string, found " .. type(text), "")
  end
  if #text > 256 then invalid(text:sub(1, 40) .. "…", "it is longer than 256 characters") end
  local major, minor, patch, rest = text:match("^(%d+)%.(%d+)%.(%d+)(.*)$")
  if not major then
    invalid(text, text:find("^[vV]%d") and "it begins with `" .. text:sub(1, 1) .. "`" or "it has not three numbers")
  end
  local before, build = rest:match("^([^+]*)%+(.*)$")
  before = before or rest
  if before ~= "" and before:sub(1, 1) ~= "-" then invalid(text, "`" .. before .. "` behind the third number") end
  if build then identifiers(build, text, false) end
  return setmetatable({
    major = number(major, text), minor = number(minor, text), patch = number(patch, text),
    prerelease = before ~= "" and identifiers(before:sub(2), text, true) or {}, build = build or "",
  }, Version)
end

--- Whether a text is a version.
---@param text string
---@return boolean
function semver.valid(text)
  return type(text) == "string" and (pcall(semver.parse, text))
end

local function compare_identifiers(a, b)
  if a == b then return 0 end
  if type(a) ~= type(b) then return type(a) == "number" and -1 or 1 end
  return a < b and -1 or 1
end

local function compare(a, b)
  for _, name in ipairs { "major", "minor", "patch" } do
    if a[name] ~= b[name] then return a[name] < b[name] and -1 or 1 end
  end
  local x, y = a.prerelease, b.prerelease
  if #x == 0 or #y == 0 then return #x == #y and 0 or #x == 0 and 1 or -1 end
  for i = 1, math.max(#x, #y) do
    if x[i] == nil then return -1 end
    if y[i] == nil then return 1 end
    local order = compare_identifiers(x[i], y[i])
    if order ~= 0 then return order end
  end
  return 0
end

--- -1, 0 or 1: whether a comes before b, is as high, or comes after it. Errors: `semver.invalid`.
---@param a string|semver.Version
---@param b string|semver.Version
---@return integer
function semver.compare(a, b) return compare(semver.parse(a), semver.parse(b)) end

function Version.__eq(a, b) return compare(a, b) == 0 end
function Version.__lt(a, b) return compare(a, b) < 0 end
function Version.__le(a, b) return compare(a, b) <= 0 end

function Version:__tostring()
  local text = ("%d.%d.%d"):format(self.major, self.minor, self.patch)
  if #self.prerelease > 0 then text = text .. "-" .. table.concat(self.prerelease, ".") end
  return self.build ~= "" and text .. "+" .. self.build or text
end

-- Ranges ------------------------------------------------------------------------------------------------------------

local function version(major, minor, patch, prerelease)
  return setmetatable({
    major = major, minor = minor, patch = patch, prerelease = prerelease or {}, build = "",
  }, Version)
end

-- The lowest that there is of a number: before all of its prereleases.
local function floor_of(major, minor, patch)
  local v = version(major, minor, patch, { 0 })
  v.implied = true
  return v
end

local function bad_range(range, why)
  refuse("semver.range", "`" .. range .. "` is no range of versions: " .. why,
    "write as >=1.2 <2, ^1.2.3, ~1.2, 1.x, 1.2 - 1.4, or several of these with || between them")
end

-- `1`, `1.2`, `1.x`, `*`: the numbers that are given, and the version where all are.
local function partial(text, range)
  local core = text:match("^[^%-+]*")
  local numbers = {}
  local any = false
  for word in (core .. "."):gmatch("(.-)%.") do
    if word == "x" or word == "X" or word == "*" then
      any = true
    elseif word:find("^%d+$") then
      if any then bad_range(range, "a number behind `x` in `" .. text .. "`") end
      numbers[#numbers + 1] = word
    else
      bad_range(range, "`" .. text .. "` is no version")
    end
  end
  local _, dots = core:gsub("%.", "")
  if dots > 2 then bad_range(range, "`" .. text .. "` has more than three numbers") end
  if #numbers == 3 then return semver.parse(text), numbers end
  if #core ~= #text then bad_range(range, "`" .. text .. "` has a prerelease, but not three numbers") end
  for i = 1, #numbers do numbers[i] = number(numbers[i], text) end
  return nil, numbers
end

-- What comes after all versions that begin with these numbers; nil for no numbers, after which nothing comes.
local function next_of(numbers)
  if #numbers == 0 then return nil end
  if #numbers == 1 then return floor_of(numbers[1] + 1, 0, 0) end
  return floor_of(numbers[1], numbers[2] + 1, 0)
end

local function first_of(numbers) return version(numbers[1] or 0, numbers[2] or 0, 0) end

local NEVER = { sign = "<", version = floor_of(0, 0, 0) }

-- Adds what one word of a range means to the list of comparators.
local function add(list, sign, text, range)
  local exact, numbers = partial(text, range)
  local function put(s, v) list[#list + 1] = { sign = s, version = v } end
  if sign == "^" then
    local v = exact or first_of(numbers)
    put(">=", v)
    if #numbers == 0 then return end
    if v.major > 0 or #numbers == 1 then put("<", floor_of(v.major + 1, 0, 0))
    elseif v.minor > 0 or #numbers == 2 then put("<", floor_of(0, v.minor + 1, 0))
    else put("<", floor_of(0, 0, v.patch + 1))
    end
  elseif sign == "~" then
    put(">=", exact or first_of(numbers))
    if #numbers > 0 then put("<", exact and floor_of(exact.major, exact.minor + 1, 0) or next_of(numbers)) end
  elseif exact then
    put(sign == "" and "=" or sign, exact)
  elseif sign == "" or sign == "=" then
    put(">=", first_of(numbers))
    if #numbers > 0 then put("<", next_of(numbers)) end
  elseif sign == ">=" then
    put(">=", first_of(numbers))
  elseif sign == "<=" then
    if #numbers > 0 then put("<", next_of(numbers)) end
  elseif #numbers == 0 then
    list[#list + 1] = NEVER
  elseif sign == ">" then
    put(">=", next_of(numbers))
  else
    put("<", floor_of(numbers[1], numbers[2] or 0, 0))
  end
end

local signs = {
  [""] = true, ["="] = true, ["<"] = true, ["<="] = true, [">"] = true, [">="] = true, ["^"] = true, ["~"] = true,
}

local function comparators(part, range)
  local list = {}
  local low, high = part:match("^%s*(%S+)%s+%-%s+(%S+)%s*$")
  if low then
    add(list, ">=", low, range)
    add(list, "<=", high, range)
    return list
  end
  for sign, text in part:gsub("([<>=~^]+)%s+", "%1"):gmatch("([<>=~^]*)([^%s<>=~^]*)") do
    if sign ~= "" or text ~= "" then
      if not signs[sign] then
        bad_range(range, "there is no `" .. sign .. "`")
      end
      if text == "" then bad_range(range, "`" .. sign .. "` without a version") end
      add(list, sign, text, range)
    end
  end
  return list
end

local holds = {
  ["="] = function(order) return order == 0 end,
  ["<"] = function(order) return order < 0 end,
  ["<="] = function(order) return order <= 0 end,
  [">"] = function(order) return order > 0 end,
  [">="] = function(order) return order >= 0 end,
}

-- A prerelease is in a range only where the range names a prerelease of the same three numbers.
local function in_part(v, list, prereleases)
  for i = 1, #list do
    if not holds[list[i].sign](compare(v, list[i].version)) then return false end
  end
  if #v.prerelease == 0 or prereleases then return true end
  for i = 1, #list do
    local w = list[i].version
    local named = #w.prerelease > 0 and not w.implied
    if named and w.major == v.major and w.minor == v.minor and w.patch == v.patch then return true end
  end
  return false
end

local function parse_range(range)
  if type(range) ~= "string" then
    refuse("call.argument", "semver.satisfies: argument 2 (range) must be a string, found " .. type(range), "")
  end
  if #range > 1024 then bad_range(range:sub(1, 40) .. "…", "it is longer than 1024 characters") end
  local parts = {}
  for part in (range .. "||"):gmatch("(.-)||") do
    local list = comparators(part, range)
    if #list == 0 then list[1] = { sign = ">=", version = version(0, 0, 0) } end
    parts[#parts + 1] = list
  end
  return parts
end

local function check_options(call, options)
  if options == nil then return false end
  if type(options) ~= "table" then refuse("call.argument", "semver." .. call .. ": the options must be a table", "") end
  for key, value in next, options do
    if key ~= "prereleases" then
      refuse("call.argument", "semver." .. call .. ": there is no option `" .. tostring(key)
        .. "`; there is prereleases", "")
    elseif type(value) ~= "boolean" then
      refuse("call.argument", "semver." .. call .. ": prereleases must be a boolean, found " .. type(value), "")
    end
  end
  return options.prereleases == true
end

---@class semver.Options
---@field prereleases? boolean whether prereleases count like releases; default false

--- Whether a version is in a range. Errors: `semver.invalid`, `semver.range`.
---@param v string|semver.Version
---@param range string
---@param options? semver.Options
---@return boolean
function semver.satisfies(v, range, options)
  local parsed, parts = semver.parse(v), parse_range(range)
  local prereleases = check_options("satisfies", options)
  for i = 1, #parts do
    if in_part(parsed, parts[i], prereleases) then return true end
  end
  return false
end

--- The highest of the versions that are in a range, as it was given; nil where none is. Errors: `semver.invalid`,
--- `semver.range`.
---@param versions (string|semver.Version)[]
---@param range string
---@param options? semver.Options
---@return string|semver.Version|nil
function semver.highest(versions, range, options)
  if type(versions) ~= "table" then
    refuse("call.argument", "semver.highest: argument 1 (versions) must be a list, found " .. type(versions), "")
  end
  local best
  for i = 1, #versions do
    if semver.satisfies(versions[i], range, options) and (not best or semver.compare(versions[i], best) > 0) then
      best = versions[i]
    end
  end
  return best
end

--- The versions as they were given, lowest first, in a new list. Errors: `semver.invalid`.
---@param versions (string|semver.Version)[]
---@return (string|semver.Version)[]
function semver.sort(versions)
  if type(versions) ~= "table" then
    refuse("call.argument", "semver.sort: argument 1 (versions) must be a list, found " .. type(versions), "")
  end
  local list = {}
  for i = 1, #versions do list[i] = { given = versions[i], parsed = semver.parse(versions[i]), at = i } end
  table.sort(list, function(a, b)
    local order = compare(a.parsed, b.parsed)
    return order < 0 or order == 0 and a.at < b.at
  end)
  for i = 1, #list do list[i] = list[i].given end
  return list
end

return semver
