local s = require "schema"

return { Config = s.object { count = s.integer { min = 0 } } }
