local s = require "schema"

return { Config = s.object { modules = s.list(s.string()) } }
