-- What is wrong with one file: findings, each with the place that it was found at.

local forge = require "forge"

local Problems = {}
Problems.__index = Problems

local MOST = 200 -- findings that are kept: nobody reads more, and outputs are bounded

function Problems.new(file)
  return setmetatable({ file = file, positions = {}, list = forge.list() }, Problems)
end

-- The position of a path such as `recipes[1].id`, or of the nearest value around it.
function Problems:place(path)
  while not self.positions[path] and path ~= "" do
    path = path:match("^(.*)%[%d+%]$") or path:match("^(.*)%.[^.]*$") or ""
  end
  return self.positions[path] or {}
end

-- severity is error, warning or hint.
function Problems:add_at(place, severity, code, message)
  if #self.list >= MOST then return end
  self.list[#self.list + 1] = {
    severity = severity, code = code, message = message,
    file = self.file, line = math.max(place.line or 1, 1), column = math.max(place.column or 1, 1),
  }
end

function Problems:add(severity, code, path, message)
  self:add_at(self:place(path), severity, code, message)
end

function Problems:sorted()
  table.sort(self.list, function(a, b)
    if a.line ~= b.line then return a.line < b.line end
    if a.column ~= b.column then return a.column < b.column end
    return a.code .. a.message < b.code .. b.message
  end)
  return self.list
end

return Problems
