-- before_instance: changes are made while somebody is there to look; at other times the instance is skipped.
local time_window = require "hooks.time_window"

return time_window.hook { days = "mon-fri", from = "08:00", to = "17:00", utc_offset = "+01:00" }
