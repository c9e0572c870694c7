local forge = require "forge"
local models = require "models"

local Example = forge.extension { config = models.Config }

function Example:execute()
  local text = forge.fs.read(self.config.file)
  local _, words = text:gsub("%S+", "")
  self.outputs.words = words
  self.outputs.grew = words > (self.state.words or 0) -- self.state holds what the last run of this stack left in it
  self.state.words = words
end

return Example
