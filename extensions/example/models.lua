local s = require "schema"

return {
  Config = s.object {
    file = s.path { kind = "file", input = true }, -- relative to the pipeline file; must exist before anything runs
  },
}
