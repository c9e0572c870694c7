--- tables: what is often done with lists and maps. Nothing here changes the tables that it is given; lists that it
--- makes stay lists where they are empty.
local _, kit = ...
local forge = require "forge"

local tables = {}

local function misuse(message) kit.raise("call.argument", message, "", false) end

local function need(call, position, name, kind, value)
  if type(value) ~= kind then
    misuse(("tables.%s: argument %d (%s) must be a %s, found %s"):format(call, position, name, kind, type(value)))
  end
end

local list_mark, map_mark = getmetatable(forge.list()), getmetatable(forge.map())

-- The copy keeps whether it is a list or a map; metatables of the author's are not copied.
local function marked(copy, original)
  local mark = getmetatable(original)
  if mark == list_mark or mark == map_mark then setmetatable(copy, mark) end
  return copy
end

local function is_list(t)
  return t[1] ~= nil or next(t) == nil and getmetatable(t) == list_mark
end

local function copy(value, seen)
  if type(value) ~= "table" then return value end
  if seen[value] then return seen[value] end
  local out = marked({}, value)
  seen[value] = out
  for key, item in next, value do out[copy(key, seen)] = copy(item, seen) end
  return out
end

--- A copy of a value and all in it. A table that stands in two places does so in the copy; cycles are kept.
---@generic T
---@param value T
---@return T
function tables.deep_copy(value) return copy(value, {}) end

local function merge(base, over)
  if type(base) ~= "table" or type(over) ~= "table" or is_list(base) or is_list(over) then return copy(over, {}) end
  local out = marked({}, over)
  for key, item in next, base do out[key] = copy(item, {}) end
  for key, item in next, over do
    if out[key] == nil then out[key] = copy(item, {}) else out[key] = merge(out[key], item) end
  end
  return out
end

--- A new map with the keys of all; what comes later counts, maps are merged, lists are replaced as a whole.
---@param base table
---@param ... table
---@return table
function tables.merge(base, ...)
  need("merge", 1, "base", "table", base)
  local out = copy(base, {})
  for i = 1, select("#", ...) do
    local over = select(i, ...)
    need("merge", i + 1, "over", "table", over)
    out = merge(out, over)
  end
  return out
end

local function equal(a, b, seen)
  if rawequal(a, b) then return true end
  if type(a) ~= "table" or type(b) ~= "table" then return false end
  if seen[a] and seen[a][b] then return true end         -- inside of a cycle: decided by what is around it
  seen[a] = seen[a] or {}
  seen[a][b] = true
  for key, item in next, a do
    if not equal(item, rawget(b, key), seen) then return false end
  end
  for key in next, b do
    if rawget(a, key) == nil then return false end
  end
  return true
end

--- Whether two values are the same, or are tables with the same keys and the same values. Marks and metatables are not
--- looked at.
---@param a any
---@param b any
---@return boolean
function tables.deep_equal(a, b) return equal(a, b, {}) end

local order = { boolean = 1, number = 2, string = 3 }

--- The keys, sorted: booleans, numbers, texts.
---@param t table
---@return table
function tables.keys(t)
  need("keys", 1, "t", "table", t)
  local list = forge.list()
  for key in next, t do
    if not order[type(key)] then misuse("tables.keys: a " .. type(key) .. " as a key cannot be sorted") end
    list[#list + 1] = key
  end
  table.sort(list, function(a, b)
    if type(a) ~= type(b) then return order[type(a)] < order[type(b)] end
    if type(a) == "boolean" then return not a and b end
    return a < b
  end)
  return list
end

--- f(item, index) for each item of a list; nil results are left out.
---@generic T, R
---@param list T[]
---@param f fun(item: T, index: integer): R
---@return R[]
function tables.map(list, f)
  need("map", 1, "list", "table", list)
  need("map", 2, "f", "function", f)
  local out = forge.list()
  for i = 1, #list do out[#out + 1] = f(list[i], i) end
  return out
end

--- The items of a list for which f(item, index) is true.
---@generic T
---@param list T[]
---@param f fun(item: T, index: integer): any
---@return T[]
function tables.filter(list, f)
  need("filter", 1, "list", "table", list)
  need("filter", 2, "f", "function", f)
  local out = forge.list()
  for i = 1, #list do
    if f(list[i], i) then out[#out + 1] = list[i] end
  end
  return out
end

--- The items of a list, in lists by what they have in common: a field's name, or f(item, index).
---@generic T
---@param list T[]
---@param by string|fun(item: T, index: integer): any
---@return table<any, T[]>
function tables.group_by(list, by)
  need("group_by", 1, "list", "table", list)
  if type(by) ~= "function" and type(by) ~= "string" then
    misuse("tables.group_by: argument 2 (by) must be a function or the name of a field, found " .. type(by))
  end
  local out = forge.map()
  for i = 1, #list do
    local item = list[i]
    local key
    if type(by) == "function" then
      key = by(item, i)
    elseif type(item) == "table" then
      key = item[by]
    end
    if key == nil or key ~= key then misuse("tables.group_by: item " .. i .. " has no key") end
    out[key] = out[key] or forge.list()
    out[key][#out[key] + 1] = item
  end
  return out
end

local function steps_of(path)
  if type(path) == "table" then return path end
  local steps, rest = {}, path
  while rest ~= "" do
    local index, after = rest:match("^%[(%d+)%](.*)$")
    if index then
      steps[#steps + 1] = tonumber(index)
    else
      local name
      name, after = rest:match("^([^%.%[%]]+)(.*)$")
      if not name then misuse("tables.get: `" .. path .. "` is no path; write as a.b[1].c, or as a list of keys") end
      steps[#steps + 1] = name
    end
    rest = after:match("^%.(.+)$") or after
    if rest == "." or after:find("^%.[%.%[]") or rest ~= "" and rest == after and rest:sub(1, 1) ~= "[" then
      misuse("tables.get: `" .. path .. "` is no path; write as a.b[1].c, or as a list of keys")
    end
  end
  return steps
end

--- What stands at a path (`a.b[1].c`, or a list of keys); `default` where nothing does.
---@param t any
---@param path string|(string|integer)[]
---@param default? any
---@return any
function tables.get(t, path, default)
  if type(path) ~= "string" and type(path) ~= "table" then
    misuse("tables.get: argument 2 (path) must be a string or a list, found " .. type(path))
  end
  local value = t
  for _, key in ipairs(steps_of(path)) do
    if type(value) ~= "table" then return default end
    value = rawget(value, key)
  end
  if value == nil or value == forge.null then return default end
  return value
end

return tables
