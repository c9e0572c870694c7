-- before_pipeline: nothing runs while the file FREEZE lies beside the pipeline file. Its text is the reason.
local forge = require "forge"

return function(event)
  local file = event.project .. "/FREEZE"
  if forge.fs.exists(file) then
    forge.fail { message = "frozen: " .. forge.fs.read(file), hint = "remove " .. file .. " to go on" }
  end
end
