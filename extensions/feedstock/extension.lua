local forge = require "forge"
local models = require "models"
local meta = require "meta"
local Problems = require "problems"

local Feedstock = forge.extension { config = models.Config }

-- In the folder itself first, then where a feedstock's repository has it.
local PLACES = { "meta.yaml", "meta.yml", "feedstock/meta.yaml", "feedstock/meta.yml" }
local MOST_BYTES = 256 * 1024 -- real files have a few thousand

local function find(folder)
  local found = {}
  for _, place in ipairs(PLACES) do
    local path = folder .. "/" .. place
    if forge.try(forge.fs.exists, path) then found[#found + 1] = path end
  end
  return found
end

-- The decoded file; nil when there is none, which `problems` then tells.
local function load(path, problems)
  local text, refused = forge.try(forge.fs.read, path)
  if not text then
    return problems:add("error", "meta.unreadable", "", refused.message)
  end
  if #text > MOST_BYTES then
    local message = ("holds %d bytes; a meta.yaml of more than %d is not read"):format(#text, MOST_BYTES)
    return problems:add("error", "meta.too_big", "", message)
  end
  local value, positions = forge.try(forge.yaml.decode, text, { positions = true })
  if value == nil and positions and positions.code then
    local message = positions.message:gsub("^not YAML at line %d+, column %d+:", "not YAML:") -- told beside it
    return problems:add_at(positions, "error", positions.code, message)
  end
  if value == nil or value == forge.null then
    return problems:add("error", "meta.empty", "", "expected a mapping with title, recipes, …, found an empty file")
  end
  problems.positions = positions
  return value
end

function Feedstock:execute()
  local found = find(self.config.folder)
  local path = found[1] or self.config.folder .. "/meta.yaml"
  local problems = Problems.new(path)
  local value
  if #found == 0 then
    problems:add("error", "meta.missing", "", "there is no meta.yaml, neither here nor in feedstock/")
  else
    value = load(path, problems)
    if path:find("%.yml$") then
      problems:add("hint", "meta.file_name", "", "the file is expected to be called meta.yaml, not meta.yml")
    end
    if found[2] == path:gsub("yaml$", "yml") then
      problems:add("warning", "meta.two_files", "", "there is a meta.yml beside it, which was not read")
    end
  end

  for name, output in pairs(meta.read(value, problems)) do self.outputs[name] = output end
  self.outputs.file = found[1] or forge.null
  self.outputs.problems = problems:sorted()
end

return Feedstock
