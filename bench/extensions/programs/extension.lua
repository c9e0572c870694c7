local forge = require "forge"
local models = require "models"

local Programs = forge.extension { config = models.Config }

function Programs:execute()
  for _ = 1, self.config.count do
    forge.process.run { "true" }
  end
end

return Programs
