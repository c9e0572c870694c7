-- The repositories that forge.git.clone and forge.git.open return: tables whose methods are the calls of forge.git with
-- the repository's path as their first argument.
local base, errors, git = ...
local ipairs, rawget, setmetatable = base.ipairs, base.rawget, base.setmetatable
local tostring, type = base.tostring, base.type

local methods = {}
for _, name in ipairs {
  "fetch", "push", "checkout", "submodules", "log", "status", "diff_names", "add", "commit", "branch", "tag",
} do
  local call = rawget(git, name)
  methods[name] = function(self, ...)
    if type(self) ~= "table" or type(rawget(self, "path")) ~= "string" then
      errors.raise("call.argument", "repository:" .. name .. "(): call it with a colon", "", false)
    end
    return call(self.path, ...)
  end
end

local Repository = {
  __metatable = "repository",
  __index = function(_, name)
    local method = methods[name]
    if method == nil and name ~= "url" and name ~= "bare" then
      errors.raise("call.unknown", "a repository has no " .. tostring(name), "its methods are the calls of forge.git",
        false)
    end
    return method
  end,
}

for _, name in ipairs { "clone", "open" } do
  local call = rawget(git, name)
  git[name] = function(...)
    local repository = call(...)
    return type(repository) == "table" and setmetatable(repository, Repository) or repository
  end
end
