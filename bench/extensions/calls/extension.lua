local forge = require "forge"
local models = require "models"

local Calls = forge.extension { config = models.Config }

function Calls:execute()
  local now = forge.time.now
  for _ = 1, self.config.count do
    now()
  end
end

return Calls
