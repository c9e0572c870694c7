local s = require "schema"

return {
  Config = s.object {
    source = s.optional(s.path { kind = "any", input = true }),
    region = s.string { default = "eu-west-1" },
    sizes = s.list { s.integer {}, default = {} },
    cidr = s.optional(s.string {}),
    token = s.optional(s.string {}),
    labels = s.map { s.string {}, default = {} },
  },
}
