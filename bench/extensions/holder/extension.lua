local forge = require "forge"
local models = require "models"

local Holder = forge.extension { config = models.Config }

function Holder:execute()
  local held = {}
  for i, name in ipairs(self.config.modules) do
    held[i] = require(name)
  end
  forge.log.info("holding " .. #held .. " modules")
  forge.time.sleep(3600)
  return held
end

return Holder
