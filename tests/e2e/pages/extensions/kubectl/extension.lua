local forge = require "forge"
local models = require "models"

local Kubectl = forge.extension { config = models.Config }

function Kubectl:execute()
  self.outputs.applied = true
end

return Kubectl
