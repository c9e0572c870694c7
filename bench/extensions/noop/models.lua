local s = require "schema"

return { Config = s.object {} }
