--- template: texts with values filled in. docs/stdlib.md says what the language has; it is interpreted, so that no Lua
--- stands in a template, and strict: a name that nothing stands for is an error.
local _, kit = ...
local forge = require "forge"

local template = {}

local MAX_DEPTH = 32                                     -- of blocks, and of parentheses
local MAX_LOOPS = 1000000                                -- turns of all loops of one rendering
local MAX_OUTPUT = 16 * 1024 * 1024                      -- bytes
local MAX_NAMES = 12                                     -- that a message shows

local function misuse(message) kit.raise("call.argument", message, "", false) end

-- Errors ------------------------------------------------------------------------------------------------------------

-- Line and column, in characters, of a byte of the source.
local function place(source, offset)
  local line, start = 1, 1
  while true do
    local newline = source:find("\n", start, true)
    if not newline or newline >= offset then break end
    line, start = line + 1, newline + 1
  end
  local _, characters = source:sub(start, offset - 1):gsub("[^\128-\191]", "")
  return line, characters + 1
end

local function fail(t, code, offset, message, hint)
  local line, column = place(t.source, offset)
  kit.raise(code, t.name .. ":" .. line .. ":" .. column .. ": " .. message, hint or "", false, line, column)
end

local function kind_of(value)
  if value == nil or value == forge.null then return "null" end
  return type(value) == "table" and (value[1] ~= nil and "a list" or "a table") or "a " .. type(value)
end

-- "a, b, c": the names of a table, for messages.
local function names_of(list)
  table.sort(list)
  local more = #list > MAX_NAMES and ", …" or ""
  return table.concat(list, ", ", 1, math.min(#list, MAX_NAMES)) .. more
end

local function keys_of(t)
  local list = {}
  for key in next, t do
    if type(key) == "string" then list[#list + 1] = key end
  end
  return list
end

local function unknown(t, offset, what, name, list, of)
  local set = {}
  for _, known in ipairs(list) do set[known] = true end
  local near = kit.nearest(tostring(name), set)
  fail(t, "template.unknown", offset, "unknown " .. what .. " `" .. tostring(name) .. "`"
    .. (near ~= "" and "; did you mean `" .. near .. "`?" or "")
    .. (#list > 0 and "; " .. of .. " " .. names_of(list) or ""),
    "give it in the values, or write `| default('…')` behind it")
end

-- Words -------------------------------------------------------------------------------------------------------------

local reserved = {
  ["and"] = true, ["or"] = true, ["not"] = true, ["in"] = true, ["true"] = true, ["false"] = true, null = true,
}
local escapes = { n = "\n", t = "\t", ["\\"] = "\\", ["'"] = "'", ['"'] = '"' }

local function read_string(t, quote)
  local start = t.at
  local parts, at = {}, start + 1
  while true do
    local stop = t.source:find("[\\\n" .. quote .. "]", at)
    local c = stop and t.source:sub(stop, stop)
    if not stop or c == "\n" then
      fail(t, "template.syntax", start, "a text in quotes that does not end in its line")
    end
    parts[#parts + 1] = t.source:sub(at, stop - 1)
    if c == quote then
      t.at = stop + 1
      return table.concat(parts)
    end
    local escaped = escapes[t.source:sub(stop + 1, stop + 1)]
    if not escaped then
      fail(t, "template.syntax", stop, "unknown escape in a text in quotes", "there are \\n \\t \\\\ \\' \\\"")
    end
    parts[#parts + 1] = escaped
    at = stop + 2
  end
end

-- The next word of what stands between `{{` and `}}`, or `{%` and `%}`: t.word is its kind ("name", "value", the sign
-- itself, or "close"), t.value its value, t.from where it begins.
local function advance(t)
  local source = t.source
  t.at = source:find("%S", t.at) or #source + 1
  t.from = t.at
  local close = source:match("^%-?[}%%]}", t.at)
  if close and close:sub(-2) == t.closing then
    t.word, t.value = "close", close
    t.at = t.at + #close
    return
  end
  local name = source:match("^[%a_][%w_]*", t.at)
  if name then
    t.at = t.at + #name
    t.word, t.value = reserved[name] and name or "name", name
    return
  end
  local number = source:match("^%-?%d+%.?%d*", t.at)
  if number then
    t.at = t.at + #number
    t.word, t.value = "value", tonumber(number)
    if not t.value then fail(t, "template.syntax", t.from, "no number: `" .. number .. "`") end
    return
  end
  local c = source:sub(t.at, t.at)
  if c == "'" or c == '"' then
    t.word, t.value = "value", read_string(t, c)
    return
  end
  local sign = source:match("^[=!<>]=", t.at) or source:match("^[<>|.,()%[%]]", t.at)
  if not sign then
    if c == "" then
      fail(t, "template.syntax", t.open, "`" .. source:sub(t.open, t.open + 1) .. "` that is not closed")
    end
    fail(t, "template.syntax", t.from, "unexpected `" .. source:match("^[%z\1-\127\192-\255][\128-\191]*", t.at) .. "`")
  end
  t.at = t.at + #sign
  t.word, t.value = sign, sign
end

local function found(t)
  if t.word == "close" then return "the end" end
  return "`" .. t.source:sub(t.from, t.at - 1) .. "`"
end

local function expect(t, word, what)
  if t.word ~= word then fail(t, "template.syntax", t.from, "expected " .. what .. ", found " .. found(t)) end
  local value = t.value
  advance(t)
  return value
end

-- Filters -----------------------------------------------------------------------------------------------------------

local function to_text(t, offset, value)
  local kind = type(value)
  if kind == "string" then return value end
  if kind == "boolean" then return tostring(value) end
  if kind == "number" and value == value and value ~= math.huge and value ~= -math.huge then
    return forge.json.encode(value)
  end
  if value == nil or value == forge.null then
    fail(t, "template.type", offset, "the value is null", "write `| default('…')` behind it")
  elseif kind == "number" then
    fail(t, "template.type", offset, "the value is no finite number")
  end
  fail(t, "template.type", offset, kind_of(value) .. " cannot stand in a text",
    "write `| json`, `| yaml` or `| join(', ')` behind it")
end

local function of_text(f)
  return function(t, offset, value) return f(to_text(t, offset, value)) end
end

local function written(encode)
  return function(t, offset, value)
    local text, problem = forge.try(encode, value == nil and forge.null or value)
    if not text then fail(t, "template.type", offset, tostring(problem)) end
    return (text:gsub("\n$", ""))
  end
end

local function shell_word(t, offset, value)
  local text = to_text(t, offset, value)
  if text:find("%z") then fail(t, "template.type", offset, "no shell can be given a text with a NUL byte") end
  if text:find("^[%w_%-./:=@%%+,]+$") then return text end
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local entities = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

-- name -> {function(t, offset, value, …), arguments at least, at most}
local filters = {
  json = { written(forge.json.encode), 0, 0 },
  yaml = { written(forge.yaml.encode), 0, 0 },
  upper = { of_text(string.upper), 0, 0 },
  lower = { of_text(string.lower), 0, 0 },
  trim = { of_text(function(text) return text:match("^%s*(.-)%s*$") end), 0, 0 },
  html = { of_text(function(text) return (text:gsub("[&<>\"']", entities)) end), 0, 0 },
  default = {
    function(_, _, value, other)
      if value == nil or value == forge.null then return other end
      return value
    end, 1, 1,
  },
  join = {
    function(t, offset, value, separator)
      if type(value) ~= "table" or value[1] == nil and next(value) ~= nil then
        fail(t, "template.type", offset, "join needs a list, found " .. kind_of(value))
      end
      local words = {}
      for i = 1, #value do words[i] = to_text(t, offset, value[i]) end
      return table.concat(words, separator == nil and ", " or to_text(t, offset, separator))
    end, 0, 1,
  },
  indent = {
    function(t, offset, value, width)
      if type(width) ~= "number" or width < 0 or width > 1000 or width % 1 ~= 0 then
        fail(t, "template.type", offset, "indent needs a number of spaces from 0 to 1000")
      end
      return (to_text(t, offset, value):gsub("\n([^\n])", "\n" .. (" "):rep(width) .. "%1"))
    end, 1, 1,
  },
  quote = {
    function(t, offset, value)
      if type(value) ~= "table" then return shell_word(t, offset, value) end
      local words = {}
      for i = 1, #value do words[i] = shell_word(t, offset, value[i]) end
      if #words == 0 and next(value) ~= nil then fail(t, "template.type", offset, "quote needs a text or a list") end
      return table.concat(words, " ")
    end, 0, 0,
  },
  length = {
    function(t, offset, value)
      if type(value) ~= "table" then
        fail(t, "template.type", offset, "length needs a list or a table, found " .. kind_of(value))
      end
      local count = 0
      for _ in next, value do count = count + 1 end
      return count
    end, 0, 0,
  },
}

-- Expressions -------------------------------------------------------------------------------------------------------
-- Each one becomes a function(r, soft), r being the rendering; `soft` gives nil for what is not there.

local expression

local function lookup(r, name)
  local scope = r.scope
  while scope do
    local value = rawget(scope.names, name)
    if value ~= nil then return value end
    scope = scope.outer
  end
end

local function known_names(r)
  local list, scope = {}, r.scope
  while scope do
    for _, key in ipairs(keys_of(scope.names)) do list[#list + 1] = key end
    scope = scope.outer
  end
  return list
end

-- name, name.name, name[expression] …
local function path(t, depth)
  local name, from = t.value, t.from
  advance(t)
  local steps = {}
  while t.word == "." or t.word == "[" do
    local at = t.from
    if t.word == "." then
      advance(t)
      if t.word ~= "name" and not reserved[t.word] then
        fail(t, "template.syntax", t.from, "expected a name behind `.`, found " .. found(t))
      end
      local key = t.value
      advance(t)
      steps[#steps + 1] = { at = at, key = function() return key end }
    else
      advance(t)
      local key = expression(t, depth + 1)
      expect(t, "]", "`]`")
      steps[#steps + 1] = { at = at, key = key }
    end
  end
  return function(r, soft)
    local value = lookup(r, name)
    if value == nil then
      if soft then return nil end
      unknown(t, from, "name", name, known_names(r), "there are")
    end
    for i = 1, #steps do
      local key = steps[i].key(r)
      if type(value) ~= "table" then
        if soft and (value == nil or value == forge.null) then return nil end
        fail(t, "template.type", steps[i].at, "cannot look for `" .. tostring(key) .. "` in " .. kind_of(value))
      end
      local inner
      if type(key) == "string" or type(key) == "number" then inner = rawget(value, key) end
      if inner == nil then
        if soft then return nil end
        unknown(t, steps[i].at, "name", key, keys_of(value), "here are")
      end
      value = inner
    end
    return value
  end
end

local function primary(t, depth)
  local word, value = t.word, t.value
  if word == "name" then return path(t, depth) end
  if word == "(" then
    if depth >= MAX_DEPTH then fail(t, "template.limit", t.from, "nested deeper than " .. MAX_DEPTH .. " levels") end
    advance(t)
    local inner = expression(t, depth + 1)
    expect(t, ")", "`)`")
    return inner
  end
  if word == "true" or word == "false" then value = word == "true"
  elseif word == "null" then value = nil
  elseif word ~= "value" then fail(t, "template.syntax", t.from, "expected a value, found " .. found(t))
  end
  advance(t)
  return function() return value end
end

local function apply(t, base, name, from, arguments)
  local own = t.filters and rawget(t.filters, name)
  local filter = filters[name]
  if own == nil and not filter then
    local list = keys_of(filters)
    for _, key in ipairs(keys_of(t.filters or {})) do list[#list + 1] = key end
    local set = {}
    for _, key in ipairs(list) do set[key] = true end
    local near = kit.nearest(name, set)
    fail(t, "template.syntax", from, "unknown filter `" .. name .. "`"
      .. (near ~= "" and "; did you mean `" .. near .. "`?" or ""), "there are " .. names_of(list))
  end
  if own == nil and (#arguments < filter[2] or #arguments > filter[3]) then
    fail(t, "template.syntax", from, "the filter " .. name .. " takes " .. (filter[3] == 0 and "no argument"
      or filter[2] == filter[3] and "one argument" or "at most one argument") .. ", found " .. #arguments)
  end
  local soft = own == nil and name == "default"
  return function(r)
    local values = {}
    for i = 1, #arguments do values[i] = arguments[i](r) end
    local value = base(r, soft)
    if own ~= nil then return own(value, unpack(values, 1, #arguments)) end
    return filter[1](t, from, value, unpack(values, 1, #arguments))
  end
end

local function filtered(t, depth)
  local value = primary(t, depth)
  while t.word == "|" do
    advance(t)
    local from = t.from
    local name = expect(t, "name", "the name of a filter")
    local arguments = {}
    if t.word == "(" then
      advance(t)
      while t.word ~= ")" do
        if #arguments > 0 then expect(t, ",", "`,` or `)`") end
        arguments[#arguments + 1] = expression(t, depth + 1)
        if #arguments > 8 then fail(t, "template.syntax", t.from, "more than 8 arguments") end
      end
      advance(t)
    end
    value = apply(t, value, name, from, arguments)
  end
  return value
end

local orders = {
  ["<"] = function(a, b) return a < b end, ["<="] = function(a, b) return a <= b end,
  [">"] = function(a, b) return a > b end, [">="] = function(a, b) return a >= b end,
}

local function comparison(t, depth)
  local left = filtered(t, depth)
  local sign, from = t.word, t.from
  local order = orders[sign]
  if not order and sign ~= "==" and sign ~= "!=" then return left end
  advance(t)
  local right = filtered(t, depth)
  if order then
    return function(r)
      local a, b = left(r), right(r)
      if type(a) ~= type(b) or type(a) ~= "number" and type(a) ~= "string" then
        fail(t, "template.type", from, "cannot compare " .. kind_of(a) .. " with " .. kind_of(b))
      end
      return order(a, b)
    end
  end
  return function(r)
    local a, b = left(r), right(r)
    if a == forge.null then a = nil end
    if b == forge.null then b = nil end
    return rawequal(a, b) == (sign == "==")
  end
end

local function truth(value) return value ~= nil and value ~= false and value ~= forge.null end

local function negation(t, depth)
  if t.word ~= "not" then return comparison(t, depth) end
  if depth >= MAX_DEPTH then fail(t, "template.limit", t.from, "nested deeper than " .. MAX_DEPTH .. " levels") end
  advance(t)
  local inner = negation(t, depth + 1)
  return function(r) return not truth(inner(r)) end
end

-- a WORD a WORD a …, from the left.
local function chain(t, depth, word, next_level, decided)
  local parts = { next_level(t, depth) }
  while t.word == word do
    advance(t)
    parts[#parts + 1] = next_level(t, depth)
  end
  if #parts == 1 then return parts[1] end
  return function(r)
    for i = 1, #parts - 1 do
      local value = parts[i](r)
      if truth(value) == decided then return value end
    end
    return parts[#parts](r)
  end
end

local function conjunction(t, depth) return chain(t, depth, "and", negation, false) end

function expression(t, depth)
  if depth > MAX_DEPTH then fail(t, "template.limit", t.from, "nested deeper than " .. MAX_DEPTH .. " levels") end
  return chain(t, depth, "or", conjunction, true)
end

-- Blocks: each node becomes a function(r) ---------------------------------------------------------------------------

local function emit(r, text)
  r.size = r.size + #text
  if r.size > r.limit then
    fail(r.template, "template.limit", #r.template.source, "the text would take more than " .. r.limit .. " bytes",
      "give a larger max_output, or write in parts")
  end
  r.count = r.count + 1
  r.out[r.count] = text
end

local function run(nodes, r)
  for i = 1, #nodes do nodes[i](r) end
end

local function text_node(text)
  return function(r) emit(r, text) end
end

local function value_node(t, value, from)
  return function(r) emit(r, to_text(t, from, value(r))) end
end

local function if_node(branches)
  return function(r)
    for i = 1, #branches do
      if not branches[i].condition or truth(branches[i].condition(r)) then return run(branches[i], r) end
    end
  end
end

-- Keys of a table in a stable order: numbers, then texts.
local function sorted_keys(t)
  local list = {}
  for key in next, t do list[#list + 1] = key end
  table.sort(list, function(a, b)
    if type(a) == type(b) then return a < b end
    return type(a) == "number"
  end)
  return list
end

local function for_node(t, loop)
  local function turn(r, scope, index, length, key, value)
    r.loops = r.loops + 1
    if r.loops > MAX_LOOPS then
      fail(t, "template.limit", loop.from, "more than " .. MAX_LOOPS .. " turns of loops")
    end
    local names = { loop = { index = index, length = length, first = index == 1, last = index == length } }
    if loop.second then names[loop.first], names[loop.second] = key, value else names[loop.first] = value end
    r.scope = { names = names, outer = scope }
    run(loop, r)
    r.scope = scope
  end
  return function(r)
    local list = loop.list(r)
    if type(list) ~= "table" then
      fail(t, "template.type", loop.from, "`for` needs a list or a table, found " .. kind_of(list))
    end
    local scope = r.scope
    if rawget(list, 1) ~= nil then
      local length = #list
      for i = 1, length do turn(r, scope, i, length, i, rawget(list, i)) end
    elseif next(list) ~= nil then
      if not loop.second then
        fail(t, "template.type", loop.from, "`for` over a table needs two names", "write {% for key, value in … %}")
      end
      local keys = sorted_keys(list)
      for i = 1, #keys do turn(r, scope, i, #keys, keys[i], rawget(list, keys[i])) end
    elseif loop.otherwise then
      run(loop.otherwise, r)
    end
  end
end

-- Where the text before a tag ends and the one behind it begins: `-` takes all white space, and a tag or comment that
-- stands alone in its line takes the line.
local function trim(t, open, close, left, right, block)
  local source = t.source
  local text_end, text_start = open - 1, close + 1
  if left then
    while text_end >= t.text_start and source:find("^%s", text_end) do text_end = text_end - 1 end
  end
  if right then text_start = source:find("%S", text_start) or #source + 1 end
  if block and not left and not right then
    local line = open
    while line > 1 and source:find("^[ \t]", line - 1) do line = line - 1 end
    local _, after = source:find("^[ \t]*\r?\n", close + 1)
    after = after or select(2, source:find("^[ \t]*$", close + 1))
    if after and line >= t.text_start and (line == 1 or source:sub(line - 1, line - 1) == "\n") then
      text_end, text_start = line - 1, after + 1
    end
  end
  return text_end, text_start
end

local function add_text(t, nodes, stop)
  if stop >= t.text_start then nodes[#nodes + 1] = text_node(t.source:sub(t.text_start, stop)) end
end

local nodes_until

-- {% raw %} … {% endraw %}: as it is.
local function raw(t, nodes)
  local from, to = t.source:find("{%%%-?%s*endraw%s*%-?%%}", t.at)
  if not from then fail(t, "template.syntax", t.open, "`raw` without `endraw`") end
  t.open = from
  local tag = t.source:sub(from, to)
  local stop, start = trim(t, from, to, tag:sub(3, 3) == "-", tag:sub(-3, -3) == "-", true)
  add_text(t, nodes, stop)
  t.text_start, t.at = start, start
end

local function if_block(t, depth)
  local open = t.open
  local branches = {}
  local condition = expression(t, 1)
  while true do
    local nodes, ended = nodes_until(t, depth + 1, open)
    nodes.condition = condition
    branches[#branches + 1] = nodes
    if ended == "end" then return if_node(branches) end
    if not condition then fail(t, "template.syntax", t.open, "`" .. ended .. "` behind `else`") end
    condition = nil
    if ended == "elif" then
      condition = expression(t, 1)
    end
  end
end

local function for_block(t, depth)
  local open = t.open
  local loop = { first = expect(t, "name", "a name") }
  if t.word == "," then
    advance(t)
    loop.second = expect(t, "name", "a second name")
  end
  expect(t, "in", "`in`")
  loop.from = t.from
  local list = expression(t, 1)
  local nodes, ended = nodes_until(t, depth + 1, open)
  nodes.first, nodes.second, nodes.from, nodes.list = loop.first, loop.second, loop.from, list
  if ended == "else" then
    nodes.otherwise, ended = nodes_until(t, depth + 1, open)
  end
  if ended ~= "end" then fail(t, "template.syntax", t.open, "`" .. ended .. "` in a `for`") end
  return for_node(t, nodes)
end

local function close_tag(t, block)
  if t.word ~= "close" then
    fail(t, "template.syntax", t.from, "expected `" .. t.closing .. "`, found " .. found(t))
  end
  local _, start = trim(t, t.open, t.at - 1, false, t.value:sub(1, 1) == "-", false)
  if block and t.alone then start = t.alone end
  t.text_start, t.at = start, start
end

-- Nodes up to a tag that ends or divides the block, and that tag's word, of which what follows is still to be read. At
-- depth 0 up to the end of the template.
function nodes_until(t, depth, opened)
  if depth > MAX_DEPTH then
    fail(t, "template.limit", opened, "blocks nested deeper than " .. MAX_DEPTH .. " levels")
  end
  if depth > 0 then close_tag(t, true) end
  local nodes = {}
  while true do
    local open = t.source:find("{[{%%#]", t.at)
    if not open then
      if depth > 0 then fail(t, "template.syntax", opened, "a block without its `{% end %}`") end
      add_text(t, nodes, #t.source)
      return nodes
    end
    local sign = t.source:sub(open + 1, open + 1)
    local left = t.source:sub(open + 2, open + 2) == "-"
    t.open = open
    if sign == "#" then
      local _, close = t.source:find("#}", open + 2, true)
      if not close then fail(t, "template.syntax", open, "a comment that is not closed") end
      local right = close - 2 > open + 1 and t.source:sub(close - 2, close - 2) == "-"
      local stop, start = trim(t, open, close, left, right, true)
      add_text(t, nodes, stop)
      t.text_start, t.at = start, start
    else
      t.closing = sign == "{" and "}}" or "%}"
      t.at = open + (left and 3 or 2)
      advance(t)
      if sign == "{" then
        add_text(t, nodes, (trim(t, open, open, left, false, false)))
        local from = t.from
        nodes[#nodes + 1] = value_node(t, expression(t, 1), from)
        close_tag(t, false)
      else
        local word, from = t.value, t.from
        if t.word ~= "name" then fail(t, "template.syntax", from, "expected the name of a tag, found " .. found(t)) end
        -- Whether the tag stands alone is seen at its end; texts in it may hold what looks like one.
        local tag = { at = t.at, word = t.word, value = t.value, from = t.from }
        while t.word ~= "close" do advance(t) end
        local right = t.value:sub(1, 1) == "-"
        local stop, start = trim(t, open, t.at - 1, left, right, true)
        t.alone = not right and start or nil
        add_text(t, nodes, stop)
        t.at, t.word, t.value, t.from = tag.at, tag.word, tag.value, tag.from
        advance(t)
        if word == "end" or word == "else" or word == "elif" then
          if depth == 0 then fail(t, "template.syntax", from, "`" .. word .. "` without a block") end
          if word == "end" then close_tag(t, true) end
          return nodes, word
        elseif word == "if" then
          nodes[#nodes + 1] = if_block(t, depth)
        elseif word == "for" then
          nodes[#nodes + 1] = for_block(t, depth)
        elseif word == "raw" then
          close_tag(t, true)
          raw(t, nodes)
        else
          fail(t, "template.syntax", from, "unknown tag `" .. tostring(word) .. "`",
            "there are if, elif, else, for, end, raw")
        end
      end
    end
  end
end

-- What there is for others ------------------------------------------------------------------------------------------

local options_of = { name = "string", filters = "table", max_output = "number" }

---@class template.Options
---@field name? string stands before LINE:COLUMN in messages; default `template`
---@field filters? table<string, fun(value: any, ...): any> further filters, and others in the place of ours
---@field max_output? integer bytes; default 16 MiB

---@class template.Template
local Template = {}
Template.__index = Template

--- Reads a template once, to render it several times. Errors: `template.syntax`, `template.limit`.
---@param text string
---@param options? template.Options
---@return template.Template
function template.compile(text, options)
  if type(text) ~= "string" then
    misuse("template.compile: argument 1 (text) must be a string, found " .. type(text))
  end
  options = options or {}
  if type(options) ~= "table" then
    misuse("template.compile: argument 2 (options) must be a table, found " .. type(options))
  end
  for key, value in next, options do
    if not options_of[key] then
      misuse("template.compile: there is no option `" .. tostring(key) .. "`; there are filters, max_output, name")
    elseif type(value) ~= options_of[key] then
      misuse("template.compile: " .. key .. " must be a " .. options_of[key] .. ", found " .. type(value))
    end
  end
  for name, filter in next, options.filters or {} do
    if type(name) ~= "string" or not name:find("^[%a_][%w_]*$") or type(filter) ~= "function" then
      misuse("template.compile: filters must be functions with names, found " .. tostring(name) .. " = "
        .. type(filter))
    end
  end
  local limit = options.max_output or MAX_OUTPUT
  if limit < 0 or limit % 1 ~= 0 then
    misuse("template.compile: max_output must be a whole number from 0, found " .. tostring(limit))
  end
  local t = {
    source = text, name = options.name or "template", filters = options.filters, at = 1, text_start = 1,
  }
  local nodes = nodes_until(t, 0, 1)
  return setmetatable({ read = t, nodes = nodes, limit = limit }, Template)
end

--- The text with these values. Errors: `template.unknown`, `template.type`, `template.limit`.
---@param values? table<string, any>
---@return string
function Template:render(values)
  if getmetatable(self) ~= Template then misuse("template:render: call it with a colon") end
  if values ~= nil and type(values) ~= "table" then
    misuse("template:render: argument 1 (values) must be a table, found " .. type(values))
  end
  local r = {
    template = self.read, limit = self.limit, out = {}, count = 0, size = 0, loops = 0,
    scope = { names = values or {} },
  }
  run(self.nodes, r)
  return table.concat(r.out)
end

--- Compiles and renders: what `forge.template.render` is.
---@param text string
---@param values? table<string, any>
---@param options? template.Options
---@return string
function template.render(text, values, options)
  if type(text) ~= "string" then
    misuse("forge.template.render: argument 1 (text) must be a string, found " .. type(text))
  end
  return template.compile(text, options):render(values)
end

return template
