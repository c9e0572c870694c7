local s = require "schema"

return {
  Config = s.object {
    -- a feedstock's repository, its feedstock/ folder, or a recipes/<name> of staged-recipes
    folder = s.path { kind = "folder" },
  },
}
