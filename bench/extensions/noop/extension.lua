local forge = require "forge"
local models = require "models"

local Noop = forge.extension { config = models.Config }

function Noop:execute() end

return Noop
