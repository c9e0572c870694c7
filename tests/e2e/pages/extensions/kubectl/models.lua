local s = require "schema"

return {
  Config = s.object {
    manifest = s.optional(s.path { kind = "file", input = true }),
    values = s.map { s.any {}, default = {} },
    replicas = s.integer { default = 1 },
  },
}
