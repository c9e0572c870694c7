-- Says in the run's log what goes on. Asks for nothing, so it needs no permissions.
local forge = require "forge"

return function(event)
  forge.log.info(("%s: %s"):format(event.stage, event.instance or event.pipeline), { result = event.result })
end
