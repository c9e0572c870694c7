--- schema: how models.lua describes a configuration.
--
--   local s = require "schema"
--   return {
--     Config = s.object {
--       file    = s.path { kind = "file" },
--       retries = s.integer { default = 3, min = 0 },
--       mode    = s.enum { "fast", "exact", default = "fast" },
--       words   = s.list { s.string { min = 1 }, default = {} },
--       sizes   = s.optional(s.map { s.number {} }),
--     },
--   }
--
-- Every function returns a model: a plain table that encodes to JSON in the form that src/pipeline/schema.cc writes
-- down and reads. Nothing here looks at a configuration; the core does that, with the positions of the pipeline file.
-- A mistake in a model raises an error at the author's line.
--
-- Options of every model: default, description (text), examples (a list), secret (its values are never shown in
-- messages), required (false is the same as s.optional). A field with a default is optional.
--   s.string  {min, max, pattern}   lengths in characters; pattern is RE2's syntax and may match anywhere in the text:
--                                   anchor it with ^ and $ to match the whole
--   s.integer {min, max}            up to 2^53 in size
--   s.number  {min, max}            finite
--   s.boolean {}
--   s.any     {}                    whatever YAML can say
--   s.enum    {VALUE, …}            texts, numbers, booleans
--   s.list    {ITEM, min, max}      ITEM a model (s.any when left out); min and max count items. Also s.list(ITEM, {…})
--   s.map     {VALUE, keys, min, max}   free keys; VALUE as above, keys an s.string. Also s.map(VALUE, {…})
--   s.object  ({NAME = MODEL, …}, {…})  exactly these keys
--   s.union   {MODEL, MODEL, …}     the first that fits
--   s.path    {kind, input}         kind is "file", "folder" or "any" (default). Relative to the file that wrote it. It
--                                   must exist, unless input = false: a path that the extension will make
--   s.optional(MODEL)               may be left out, and is nil then
local s = {}

---@class schema.Model what a value may be; made by the functions here

---@class schema.Options
---@field default? any with it, the field is optional
---@field description? string
---@field examples? any[]
---@field secret? boolean its values are never shown in messages
---@field required? boolean false is the same as s.optional

---@class schema.SizeOptions: schema.Options
---@field min? integer
---@field max? integer

---@class schema.StringOptions: schema.SizeOptions
---@field pattern? string RE2's syntax; may match anywhere

---@class schema.NumberOptions: schema.Options
---@field min? number
---@field max? number

---@class schema.MapOptions: schema.SizeOptions
---@field keys? schema.Model an s.string

---@class schema.PathOptions: schema.Options
---@field kind? "file"|"folder"|"any" default any
---@field input? boolean whether it must exist; default true

-- Every model made here: tells a model from any other table. Nothing is marked in the model itself.
local made = {}

local MAX_INTEGER = 2 ^ 53

local common = { "default", "description", "examples", "required", "secret" }

-- `level` is always as error() counts it from the function that has it as its argument.
local function fail(message, level) error(message, level + 1) end

local function sorted_keys(t)
  local names = {}
  for key in pairs(t) do names[#names + 1] = key end
  table.sort(names)
  return names
end

local function show(value)
  if type(value) == "string" then
    if #value > 40 then value = value:sub(1, 37) .. "..." end
    return "'" .. value:gsub("%c", " ") .. "'"
  end
  if type(value) == "number" or type(value) == "boolean" then return tostring(value) end
  if value == nil then return "nothing" end
  return "a " .. type(value)
end

local function is_integer(value)
  return type(value) == "number" and value == math.floor(value) and value >= -MAX_INTEGER and value <= MAX_INTEGER
end

local function is_finite(value)
  return type(value) == "number" and value == value and value ~= math.huge and value ~= -math.huge
end

-- The length of a table that is a list (keys 1 to n and no other); nil when it is none.
local function list_length(t)
  local count = 0
  for key in pairs(t) do
    if not is_integer(key) or key < 1 then return nil end
    count = count + 1
  end
  for i = 1, count do
    if t[i] == nil then return nil end
  end
  return count
end

-- Characters of UTF-8 text: all bytes that do not continue one.
local function characters(text)
  local _, count = text:gsub("[^\128-\191]", "")
  return count
end

local function within(model, size)
  return (model.min == nil or size >= model.min) and (model.max == nil or size <= model.max)
end

local function range_words(model, unit)
  if model.min and model.max then return (" from %s to %s%s"):format(model.min, model.max, unit) end
  if model.min then return (" of at least %s%s"):format(model.min, unit) end
  if model.max then return (" of at most %s%s"):format(model.max, unit) end
  return ""
end

-- Why a value (a default or an example) does not fit a model; nil when it does. Patterns are left to the core.
local fits

local function plain(value, where, depth)
  local kind = type(value)
  if kind == "string" or kind == "boolean" or kind == "userdata" then return nil end   -- userdata: forge.null
  if kind == "number" then
    if not is_finite(value) then return where .. " is no finite number" end
    return nil
  end
  if kind ~= "table" then return where .. " is " .. show(value) .. ", which YAML cannot say" end
  if depth > 32 then return where .. " is nested too deeply" end
  if next(value) == nil then
    -- A table with a mark says which of the two it is.
    if getmetatable(value) == nil then
      return where .. " is an empty table, which may be a list or a map: use s.list or s.map instead of s.any"
    end
    return nil
  end
  local is_list = list_length(value) ~= nil
  for key, item in pairs(value) do
    if not is_list and type(key) ~= "string" then return where .. " mixes a list with a map" end
    local problem = plain(item, where .. "." .. tostring(key), depth + 1)
    if problem then return problem end
  end
  return nil
end

local function expected(what, value, where)
  return ("%s: expected %s, found %s"):format(where, what, show(value))
end

local check = {}

function check.string(model, value, where)
  if type(value) ~= "string" or not within(model, characters(value)) then
    return expected("text" .. range_words(model, " characters"), value, where)
  end
end

function check.integer(model, value, where)
  if not is_integer(value) or not within(model, value) then
    return expected("an integer" .. range_words(model, ""), value, where)
  end
end

function check.number(model, value, where)
  if not is_finite(value) or not within(model, value) then
    return expected("a number" .. range_words(model, ""), value, where)
  end
end

function check.boolean(_, value, where)
  if type(value) ~= "boolean" then return expected("true or false", value, where) end
end

function check.any(_, value, where) return plain(value, where, 1) end

function check.path(_, value, where)
  if type(value) ~= "string" or value == "" then return expected("a path", value, where) end
end

function check.enum(model, value, where)
  local words = {}
  for i, allowed in ipairs(model.values) do
    if allowed == value then return nil end
    words[i] = show(allowed)
  end
  return expected("one of " .. table.concat(words, ", "), value, where)
end

function check.list(model, value, where)
  local length = type(value) == "table" and list_length(value)
  if not length or not within(model, length) then
    return expected("a list" .. range_words(model, " items"), value, where)
  end
  for i = 1, length do
    local problem = model.items and fits(model.items, value[i], where .. "[" .. i .. "]")
      or not model.items and plain(value[i], where .. "[" .. i .. "]", 1)
    if problem then return problem end
  end
end

function check.map(model, value, where)
  if type(value) ~= "table" then return expected("a mapping", value, where) end
  local count = 0
  for key, item in pairs(value) do
    if type(key) ~= "string" then return expected("a mapping with text keys", value, where) end
    count = count + 1
    local at = where .. "." .. key
    local problem = model.keys and fits(model.keys, key, "the key " .. at)
    if not problem and model.items then problem = fits(model.items, item, at) end
    if not problem and not model.items then problem = plain(item, at, 1) end
    if problem then return problem end
  end
  if not within(model, count) then return expected("a mapping" .. range_words(model, " entries"), value, where) end
end

function check.object(model, value, where)
  if type(value) ~= "table" then return expected("a mapping", value, where) end
  local known = {}
  for _, field in ipairs(model.fields or {}) do
    local item = value[field.name]
    known[field.name] = true
    if item ~= nil then
      local problem = fits(field.model, item, where .. "." .. field.name)
      if problem then return problem end
    elseif field.model.default == nil and not field.model.optional then
      return where .. "." .. field.name .. " is missing"
    end
  end
  for key in pairs(value) do
    if not known[key] then return where .. "." .. tostring(key) .. " is no field of the object" end
  end
end

function check.union(model, value, where)
  for _, branch in ipairs(model.branches) do
    if not fits(branch, value, where) then return nil end
  end
  return where .. ": " .. show(value) .. " fits none of the union's models"
end

function fits(model, value, where)
  return check[model.type](model, value, where)
end

local function need_type(call, options, name, kind, level)
  local value = options[name]
  if value ~= nil and type(value) ~= kind then
    local word = kind == "string" and "text" or kind == "boolean" and "true or false" or "a " .. kind
    fail(("%s: option '%s' takes %s, found %s"):format(call, name, word, show(value)), level + 1)
  end
  return value
end

-- Checks the options that all models have, moves them into `model`, and registers it.
local function finish(call, model, options, own, level)
  local allowed = {}
  for _, name in ipairs(common) do allowed[name] = true end
  for _, name in ipairs(own) do allowed[name] = true end
  for key in pairs(options) do
    if not allowed[key] then
      local what = type(key) == "string" and ("has no option '%s'"):format(key)
        or ("takes no value without a name, found %s"):format(show(options[key]))
      fail(("%s %s; its options are %s"):format(call, what, table.concat(sorted_keys(allowed), ", ")), level + 1)
    end
  end

  model.description = need_type(call, options, "description", "string", level + 1)
  if need_type(call, options, "secret", "boolean", level + 1) then model.secret = true end
  local required = need_type(call, options, "required", "boolean", level + 1)
  if required == false then model.optional = true end
  local default = options.default
  if default ~= nil then
    if required then fail(call .. ": a model with a default cannot be required", level + 1) end
    if required == false then fail(call .. ": a model with a default is optional already", level + 1) end
    local problem = fits(model, default, "default")
    if problem then fail(("%s: the default does not fit: %s"):format(call, problem), level + 1) end
    model.default = default
  end
  local examples = need_type(call, options, "examples", "table", level + 1)
  if examples then
    local count = list_length(examples)
    if not count or count == 0 then
      fail(call .. ": option 'examples' takes a list of at least one value", level + 1)
    end
    for i = 1, count do
      local problem = fits(model, examples[i], "examples[" .. i .. "]")
      if problem then fail(("%s: an example does not fit: %s"):format(call, problem), level + 1) end
    end
    model.examples = examples
  end
  made[model] = true
  return model
end

-- min and max: numbers, whole where they count something, not below zero where they are sizes.
local function take_range(call, model, options, kind, level)
  for _, name in ipairs { "min", "max" } do
    local value = options[name]
    if value ~= nil then
      if kind == "number" and not is_finite(value) then
        fail(("%s: option '%s' takes a number, found %s"):format(call, name, show(value)), level + 1)
      elseif kind == "integer" and not is_integer(value) then
        fail(("%s: option '%s' takes an integer, found %s"):format(call, name, show(value)), level + 1)
      elseif kind == "size" and (not is_integer(value) or value < 0) then
        fail(("%s: option '%s' takes an integer of at least 0, found %s"):format(call, name, show(value)), level + 1)
      end
      model[name] = value
    end
  end
  if model.min and model.max and model.min > model.max then
    fail(("%s: min %s is above max %s"):format(call, model.min, model.max), level + 1)
  end
end

local function options_of(call, options, level)
  if options == nil then return {} end
  if type(options) ~= "table" then
    fail(("%s takes a table of options, found %s"):format(call, show(options)), level + 1)
  end
  if made[options] then fail(("%s takes a table of options, found a model"):format(call), level + 1) end
  return options
end

local function need_model(call, what, value, level)
  if type(value) == "table" and made[value] then return value end
  local hint = ""
  if type(value) == "function" then hint = "; call it, as in s.string {}" end
  if type(value) == "table" then hint = "; a group of fields is s.object { … }" end
  fail(("%s: %s must be a model, found %s%s"):format(call, what, show(value), hint), level + 1)
end

-- A model inside a list, map or union: only a field of an object can be left out.
local function need_inner(call, what, value, level)
  local model = need_model(call, what, value, level + 1)
  if model.default ~= nil or model.optional then
    fail(("%s: %s cannot be optional or have a default; only a field of s.object can"):format(call, what), level + 1)
  end
  return model
end

-- {VALUE, …, option = …}, or a model and a table of options: the values and the options.
local function split(call, first, second, level)
  if type(first) == "table" and made[first] then return { first }, options_of(call, second, level + 1) end
  if second ~= nil then
    fail(call .. " takes one table that holds everything, or a model and a table of options", level + 1)
  end
  local values, options = {}, {}
  for key, value in pairs(options_of(call, first, level + 1)) do
    if type(key) == "number" then values[key] = value else options[key] = value end
  end
  if not list_length(values) then fail(call .. ": there is a gap (a nil) between the values", level + 1) end
  return values, options
end

--- A text.
---@param options? schema.StringOptions
---@return schema.Model
function s.string(options)
  options = options_of("s.string", options, 2)
  local model = { type = "string" }
  take_range("s.string", model, options, "size", 2)
  model.pattern = need_type("s.string", options, "pattern", "string", 2)
  finish("s.string", model, options, { "min", "max", "pattern" }, 2)
  return model
end

--- A whole number, up to 2^53 in size.
---@param options? schema.NumberOptions
---@return schema.Model
function s.integer(options)
  options = options_of("s.integer", options, 2)
  local model = { type = "integer" }
  take_range("s.integer", model, options, "integer", 2)
  finish("s.integer", model, options, { "min", "max" }, 2)
  return model
end

--- A finite number.
---@param options? schema.NumberOptions
---@return schema.Model
function s.number(options)
  options = options_of("s.number", options, 2)
  local model = { type = "number" }
  take_range("s.number", model, options, "number", 2)
  finish("s.number", model, options, { "min", "max" }, 2)
  return model
end

--- true or false.
---@param options? schema.Options
---@return schema.Model
function s.boolean(options)
  local model = { type = "boolean" }
  finish("s.boolean", model, options_of("s.boolean", options, 2), {}, 2)
  return model
end

--- Whatever YAML can say.
---@param options? schema.Options
---@return schema.Model
function s.any(options)
  local model = { type = "any" }
  finish("s.any", model, options_of("s.any", options, 2), {}, 2)
  return model
end

--- One of these texts, numbers or booleans: `s.enum { "a", "b", default = "a" }`.
---@param first any[] the values, with the options among them
---@param second? schema.Options the options, where they are not
---@return schema.Model
function s.enum(first, second)
  local values, options = split("s.enum", first, second, 2)
  if #values == 0 then fail("s.enum: name at least one value, as in s.enum { \"a\", \"b\" }", 2) end
  local seen = {}
  for _, value in ipairs(values) do
    local kind = type(value)
    if kind ~= "string" and kind ~= "boolean" and not is_finite(value) then
      fail(("s.enum: values are texts, numbers and booleans, found %s"):format(show(value)), 2)
    end
    if seen[value] then fail(("s.enum: %s is named twice"):format(show(value)), 2) end
    seen[value] = true
  end
  local model = { type = "enum", values = values }
  finish("s.enum", model, options, {}, 2)
  return model
end

local function one_inner(call, values, what, level)
  if #values > 1 then
    fail(("%s takes one model for its %s, found %d; s.union holds several"):format(call, what, #values), level + 1)
  end
  if #values == 0 then return nil end
  return (need_inner(call, "its " .. what, values[1], level + 1))
end

--- A list of items of one model: `s.list { s.string {}, min = 1 }`.
---@param first? any the model, alone or with the options among it; default s.any
---@param second? schema.SizeOptions the options, where they are not
---@return schema.Model
function s.list(first, second)
  local values, options = split("s.list", first, second, 2)
  local model = { type = "list", items = one_inner("s.list", values, "items", 2) }
  take_range("s.list", model, options, "size", 2)
  finish("s.list", model, options, { "min", "max" }, 2)
  return model
end

--- Free keys, values of one model: `s.map { s.number {} }`.
---@param first? any the model, alone or with the options among it; default s.any
---@param second? schema.MapOptions the options, where they are not
---@return schema.Model
function s.map(first, second)
  local values, options = split("s.map", first, second, 2)
  local model = { type = "map", items = one_inner("s.map", values, "values", 2) }
  if options.keys ~= nil then
    model.keys = need_inner("s.map", "option 'keys'", options.keys, 2)
    if model.keys.type ~= "string" then fail("s.map: option 'keys' takes an s.string", 2) end
  end
  take_range("s.map", model, options, "size", 2)
  finish("s.map", model, options, { "keys", "min", "max" }, 2)
  return model
end

--- Exactly these keys.
---@param fields table<string, schema.Model>
---@param options? schema.Options
---@return schema.Model
function s.object(fields, options)
  if type(fields) ~= "table" or made[fields] then
    fail("s.object takes a table of fields, as in s.object { name = s.string {} }, found "
      .. (type(fields) == "table" and "a model" or show(fields)), 2)
  end
  options = options_of("s.object", options, 2)
  local model = { type = "object" }
  for key in pairs(fields) do
    if type(key) ~= "string" or key == "" then
      fail(("s.object: the name of a field is text, found %s"):format(show(key)), 2)
    end
  end
  local list = {}
  for i, name in ipairs(sorted_keys(fields)) do
    list[i] = { name = name, model = need_model("s.object", ("field '%s'"):format(name), fields[name], 2) }
  end
  -- An empty table would be a list or a map: no fields are said by leaving them out.
  if #list > 0 then model.fields = list end
  finish("s.object", model, options, {}, 2)
  return model
end

--- The first of these models that fits.
---@param first schema.Model[] with the options among them
---@param second? schema.Options the options, where they are not
---@return schema.Model
function s.union(first, second)
  local values, options = split("s.union", first, second, 2)
  if #values < 2 then fail("s.union: name at least two models, as in s.union { s.string {}, s.integer {} }", 2) end
  for i, value in ipairs(values) do need_inner("s.union", "model " .. i, value, 2) end
  local model = { type = "union", branches = values }
  finish("s.union", model, options, {}, 2)
  return model
end

--- A path, relative to the file that wrote it.
---@param options? schema.PathOptions
---@return schema.Model
function s.path(options)
  options = options_of("s.path", options, 2)
  local kind = need_type("s.path", options, "kind", "string", 2)
  if kind ~= nil and kind ~= "file" and kind ~= "folder" and kind ~= "any" then
    fail(("s.path: option 'kind' takes \"file\", \"folder\" or \"any\", found %s"):format(show(kind)), 2)
  end
  local model = { type = "path", kind = kind or "any" }
  model.input = need_type("s.path", options, "input", "boolean", 2) ~= false
  finish("s.path", model, options, { "kind", "input" }, 2)
  return model
end

--- A model that may be left out, and is nil then.
---@param model schema.Model
---@return schema.Model
function s.optional(model, extra)
  need_model("s.optional", "its argument", model, 2)
  if extra ~= nil then fail("s.optional takes a model only; give the options to the model itself", 2) end
  if model.default ~= nil then fail("s.optional: the model has a default and is optional already", 2) end
  local copy = {}
  for key, value in pairs(model) do copy[key] = value end
  copy.optional = true
  made[copy] = true
  return copy
end

return setmetatable(s, {
  __index = function(_, name)
    error(("schema has no 's.%s'; it has %s"):format(tostring(name), table.concat(sorted_keys(s), ", ")), 2)
  end,
})
