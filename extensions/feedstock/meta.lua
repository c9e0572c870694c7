-- Reads the value of a meta.yaml, in every dialect that feedstocks were written in. Nothing in it is trusted: what has
-- another shape than expected becomes a problem, and null in the result.

local forge = require "forge"
local tables = require "tables"

local MOST_ITEMS = 1000 -- of a list
local MOST_TEXT = 500 -- bytes of a text, but for the description
local KEYS = {} -- of all dialects, top level
for key in ([[id version title description pangeo_forge_version pangeo_notebook_version pangeo_forge_recipes_version
  recipes provenance maintainers bakery bakeries]]):gmatch("%S+") do KEYS[key] = true end

local function missing(value)
  return value == nil or value == forge.null
end

local function kind(value)
  if type(value) ~= "table" then return type(value) == "string" and "text" or "a " .. type(value) end
  return value[1] ~= nil and "a list" or next(value) ~= nil and "a mapping" or "an empty list or mapping"
end

-- At most so many bytes, cut between characters.
local function shorten(text, most)
  if #text <= most then return text end
  return text:sub(1, most):gsub("[\192-\255][\128-\191]*$", "") .. "…"
end

local Reader = {}
Reader.__index = Reader

function Reader:add(...) self.problems:add(...) end

-- A text, trimmed and bounded, or nil.
function Reader:text(value, path, most)
  if missing(value) then return nil end
  if type(value) == "table" then
    return self:add("error", "meta.type", path, "expected text, found " .. kind(value))
  end
  if type(value) ~= "string" then
    self:add("warning", "meta.type", path, ("expected text, found %s; put it in quotes"):format(kind(value)))
  end
  local text = tostring(value)
  if not text:find("%S") then return nil end
  return shorten(text:match("^%s*(.*%S)"), most or MOST_TEXT)
end

-- A mapping; an empty one where there is none.
function Reader:mapping(value, path)
  if missing(value) then return {} end
  if type(value) == "table" and value[1] == nil then return value end
  self:add("error", "meta.type", path, "expected a mapping, found " .. kind(value))
  return {}
end

-- A list; an empty one where there is none.
function Reader:list(value, path)
  if missing(value) then return {} end
  if type(value) ~= "table" or (value[1] == nil and next(value) ~= nil) then
    self:add("error", "meta.type", path, "expected a list, found " .. kind(value))
    return {}
  end
  if #value <= MOST_ITEMS then return value end
  self:add("error", "meta.too_many", path, ("holds %d items; the first %d are read"):format(#value, MOST_ITEMS))
  local first = {}
  for i = 1, MOST_ITEMS do first[i] = value[i] end
  return first
end

-- `module:name`, checked for its form and kept as it is written.
function Reader:object(value, path)
  local text = self:text(value, path)
  if text and not text:find("^[%a_][%w_.]*:[%a_][%w_]*$") then
    self:add("error", "recipe.object", path, ("expected module:name, both as in Python, found '%s'"):format(text))
  end
  return text
end

function Reader:recipe(value, path)
  local entry = type(value) == "string" and { id = value } or self:mapping(value, path)
  local id = self:text(entry.id, path .. ".id")
  local object = self:object(entry.object, path .. ".object")
  local dict_object = self:object(entry.dict_object, path .. ".dict_object")
  if not (object or dict_object) and type(entry.module) == "string" then -- the form of ADR-2's first drafts
    local module, name = self:text(entry.module, path .. ".module"), self:text(entry.name, path .. ".name")
    object = module and name and module:gsub("%.py$", "") .. ":" .. name
    self:add("hint", "recipe.old_form", path .. ".module", "module and name are written today as object: module:name")
  end
  if not (object or dict_object) then
    self:add("error", "recipe.no_object", path, "expected object: module:name, or dict_object, found neither")
  end
  if not (id or dict_object) then self:add("error", "recipe.no_id", path, "expected an id, found none") end
  return { id = id or forge.null, object = object or forge.null, dict_object = dict_object or forge.null }
end

function Reader:recipes(value)
  local entries = forge.list() -- marked, so that it stays a list when it is empty
  if type(value) == "table" and value[1] == nil and next(value) ~= nil then
    entries[1] = self:recipe(value, "recipes") -- one recipe, or a dict_object, written without a list
  else
    for i, item in ipairs(self:list(value, "recipes")) do entries[i] = self:recipe(item, ("recipes[%d]"):format(i)) end
  end
  if #entries == 0 then self:add("hint", "recipe.none", "recipes", "there are no recipes here") end
  return entries
end

-- ISO 7064 mod 11-2: https://support.orcid.org/hc/en-us/articles/360006897674
local function is_orcid(text)
  if not text:find("^%d%d%d%d%-%d%d%d%d%-%d%d%d%d%-%d%d%d[%dX]$") then return false end
  local digits, total = text:gsub("%-", ""), 0
  for digit in digits:sub(1, 15):gmatch("%d") do total = (total + tonumber(digit)) * 2 % 11 end
  local check = (12 - total) % 11
  return digits:sub(16) == (check == 10 and "X" or tostring(check))
end

function Reader:maintainer(value, path)
  local person = self:mapping(value, path)
  local github = self:text(person.github, path .. ".github")
  local orcid = self:text(person.orcid, path .. ".orcid")
  if not github then self:add("warning", "maintainer.no_github", path, "expected a github name, found none") end
  if orcid and not is_orcid(orcid:gsub("^https?://orcid%.org/", "")) then
    local message = "expected an ORCID, found '%s': it is malformed, or its check digit is wrong"
    self:add("warning", "maintainer.orcid", path .. ".orcid", message:format(orcid))
  end
  local name = self:text(person.name, path .. ".name")
  return { name = name or forge.null, github = github or forge.null, orcid = orcid or forge.null }
end

function Reader:maintainers(value)
  local people = forge.list()
  for i, item in ipairs(self:list(value, "maintainers")) do
    people[i] = self:maintainer(item, ("maintainers[%d]"):format(i))
  end
  if #people == 0 then self:add("hint", "meta.missing_key", "maintainers", "there are no maintainers") end
  return people
end

-- `bakery:` is one; ADR-2's `bakeries:` is a list, of which the first counts.
function Reader:bakery(meta)
  local path, value = "bakery", meta.bakery
  if missing(value) then
    local list = self:list(meta.bakeries, "bakeries")
    if #list > 1 then self:add("hint", "bakery.several", "bakeries", "only the first bakery is used") end
    path, value = "bakeries[1]", list[1]
  end
  if missing(value) then return forge.null end
  local bakery = self:mapping(value, path)
  self:mapping(bakery.resources, path .. ".resources")
  return {
    id = self:text(bakery.id, path .. ".id") or forge.null,
    target = self:text(bakery.target, path .. ".target") or forge.null,
  }
end

function Reader:licence(value)
  local provenance = self:mapping(value, "provenance")
  for i, item in ipairs(self:list(provenance.providers, "provenance.providers")) do
    local path = ("provenance.providers[%d]"):format(i)
    self:list(self:mapping(item, path).roles, path .. ".roles")
  end
  local licence = self:text(provenance.license, "provenance.license")
  if not licence then self:add("hint", "meta.missing_key", "provenance", "there is no provenance.license") end
  return licence or forge.null
end

function Reader:unknown_keys(meta)
  -- In order, of which pairs has none: only so many problems are kept.
  local unknown = tables.filter(tables.keys(meta), function(key) return not KEYS[key] end)
  for _, key in ipairs(unknown) do
    local path = key:find("^[%a_-][%w_-]*$") and key or '["' .. key .. '"]'
    self:add("hint", "meta.unknown_key", path, ("no dialect has the key '%s'"):format(shorten(key, MOST_TEXT)))
  end
end

-- Dialects have no mark of their own: the keys that only one of them has tell.
local function dialect(meta)
  if not (missing(meta.id) and missing(meta.bakeries) and missing(meta.pangeo_forge_recipes_version)) then
    return "adr-2"
  end
  local bakery = type(meta.bakery) == "table" and meta.bakery or {}
  if not (missing(bakery.target) and missing(bakery.resources)) then return "prefect" end
  if not (missing(meta.bakery) and missing(meta.pangeo_forge_version)) then return "bot" end
  return missing(meta.title) and missing(meta.recipes) and "unknown" or "runner"
end

local Meta = {}

-- value: the decoded file, or nil when there is nothing to read.
function Meta.read(value, problems)
  local reader = setmetatable({ problems = problems }, Reader)
  local outputs = {
    title = forge.null, description = forge.null, recipes = forge.list(), maintainers = forge.list(),
    bakery = forge.null, licence = forge.null, pangeo_forge_version = forge.null, dialect = "unknown",
  }
  if missing(value) then return outputs end
  if type(value) ~= "table" or value[1] ~= nil then
    reader:add("error", "meta.no_mapping", "", "expected a mapping with title, recipes, …, found " .. kind(value))
    return outputs
  end

  reader:unknown_keys(value)
  outputs.title = reader:text(value.title, "title") or forge.null
  if outputs.title == forge.null then reader:add("warning", "meta.missing_key", "title", "there is no title") end
  outputs.description = reader:text(value.description, "description", 4000) or forge.null
  outputs.recipes = reader:recipes(value.recipes)
  outputs.maintainers = reader:maintainers(value.maintainers)
  outputs.bakery = reader:bakery(value)
  outputs.licence = reader:licence(value.provenance)
  for _, key in ipairs { "pangeo_forge_version", "pangeo_forge_recipes_version" } do
    local version = reader:text(value[key], key)
    if version then outputs.pangeo_forge_version = version end
  end
  outputs.dialect = dialect(value)
  return outputs
end

return Meta
