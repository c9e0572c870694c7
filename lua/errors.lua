-- Errors as tables: {code, message, hint, retryable, line, column}. tostring() and `..` give the message.
local host, base = ...
local error, getmetatable, pcall, rawget, setmetatable, tostring, type =
  base.error, base.getmetatable, base.pcall, base.rawget, base.setmetatable, base.tostring, base.type
local match = base.string.match

local errors = {}

local meta = { __metatable = "error" }
errors.meta = meta

function meta.__tostring(e)
  local message = rawget(e, "message")
  return type(message) == "string" and message or "an error without a message"
end

function meta.__concat(a, b) return tostring(a) .. tostring(b) end

-- Raises an error at the innermost line of the author; never returns.
errors.raise = host.raise

-- What forge.fail made, to tell it from the errors of calls.
local authors = setmetatable({}, { __mode = "k" })

-- Whether the author raised a value, and not a call on the author's behalf.
function errors.is_authors(value)
  return type(value) ~= "table" or getmetatable(value) ~= "error" or authors[value] == true
end

-- A value that was raised, as an error table.
function errors.normal(value)
  local kind = type(value)
  if kind == "table" and getmetatable(value) == "error" then return value end
  local e = { code = "extension.error", retryable = true }
  if kind == "table" then
    local code, message, hint = rawget(value, "code"), rawget(value, "message"), rawget(value, "hint")
    if type(code) == "string" then e.code = code end
    if type(hint) == "string" then e.hint = hint end
    if rawget(value, "retryable") == false then e.retryable = false end
    if type(message) == "string" then
      e.message = message
    else
      local ok, text = pcall(tostring, value)
      e.message = ok and type(text) == "string" and text or "a table was raised"
    end
  elseif kind == "string" then
    e.message = value
    if match(value, "not enough memory$") then e.code = "limit.memory" end
  else
    e.message = tostring(value) .. " was raised"
  end
  return setmetatable(e, meta)
end

local allowed = { code = "string", message = "string", hint = "string", retryable = "boolean" }

-- forge.fail{code, message, hint, retryable}: ends what the extension does with an error of its own code.
function errors.fail(fields)
  if type(fields) ~= "table" then
    errors.raise("call.argument", "forge.fail: argument 1 must be a table {code, message, hint, retryable}, found "
      .. type(fields), "", false)
  end
  local e = { code = "extension.error", retryable = true }
  for key, value in base.next, fields do
    local kind = type(key) == "string" and allowed[key]
    if not kind then
      errors.raise("call.argument", "forge.fail: there is no field `" .. tostring(key)
        .. "`; the fields are code, message, hint, retryable", "", false)
    end
    if type(value) ~= kind then
      errors.raise("call.argument", "forge.fail: " .. key .. " must be a " .. kind .. ", found " .. type(value), "",
        false)
    end
    e[key] = value
  end
  if not e.message then errors.raise("call.argument", "forge.fail: message is missing", "", false) end
  if not match(e.code, "^[a-z][a-z0-9_%.%-]*$") then
    errors.raise("call.argument", "forge.fail: code must be lower-case words joined by dots, found `" .. e.code .. "`",
      "", false)
  end
  authors[e] = true
  error(setmetatable(e, meta), 0)
end

local function settle(ok, first, ...)
  if ok then return first, ... end
  return nil, errors.normal(first)
end

-- forge.try(f, ...): what f returned, or nil and the error as a table.
function errors.try(f, ...)
  if type(f) ~= "function" then
    errors.raise("call.argument", "forge.try: argument 1 must be a function, found " .. type(f), "", false)
  end
  return settle(pcall(f, ...))
end

return errors
