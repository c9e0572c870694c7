--- hooks.webhook: tells a URL what happens to a pipeline. For hooks; their permissions need the URL's host in `http`,
--- and, where the URL is a secret, its name in `secrets`.
local _, kit = ...
local forge = require "forge"
local retry = require "retry"
local template = require "template"

local webhook = {}

---@class webhook.Options
---@field url? string where to; this or `secret`
---@field secret? string the name of a secret that holds the URL
---@field format? "json"|"slack" what is sent: the event and `text`, or {text} as Slack takes it; default json
---@field text? string a template (see template) of the text, with the event's names; default one line that says it
---@field stages? string[] which stages are told of; default every one that the hook is run for
---@field headers? table<string, string> further headers
---@field timeout? number seconds of each attempt; default 10
---@field attempts? integer how often in all; default 3
---@field delay? number seconds before the second attempt, doubled each time and drawn as stdlib/retry does; default 1

local STAGES = {
  before_pipeline = "is about to run", after_plan = "is planned", before_instance = "is about to run",
  on_retry = "is tried again", after_instance = "has ended", on_error = "failed", after_pipeline = "has ended",
}
local stage_names = "before_pipeline, after_plan, before_instance, on_retry, after_instance, on_error, after_pipeline"
-- What of an event is sent. Configurations, outputs and plans are not for others unless a template says so.
local SENT = { "stage", "pipeline", "instance", "attempt", "result", "duration_ms", "error" }
local known = {
  url = "string", secret = "string", format = "string", text = "string", stages = "table", headers = "table",
  timeout = "number", attempts = "number", delay = "number",
}

local function misuse(message) kit.raise("call.argument", "webhook: " .. message, "", false) end

local function read(options)
  if type(options) ~= "table" then misuse("the options must be a table, found " .. type(options)) end
  for key, value in next, options do
    local kind = known[key]
    if not kind then
      misuse("there is no option `" .. tostring(key)
        .. "`; there are attempts, delay, format, headers, secret, stages, text, timeout, url")
    end
    if type(value) ~= kind then misuse(key .. " must be a " .. kind .. ", found " .. type(value)) end
  end
  if (options.url == nil) == (options.secret == nil) then misuse("give either url or secret, the name of one") end
  if options.url and not options.url:find("^https?://[^/]") then
    misuse("url must begin with http:// or https:// and a host, found `" .. options.url .. "`")
  end
  local format = options.format or "json"
  if format ~= "json" and format ~= "slack" then misuse("format must be json or slack, found `" .. format .. "`") end
  local stages
  if options.stages then
    stages = {}
    for _, stage in ipairs(options.stages) do
      if not STAGES[stage] then
        misuse("stages: there is no stage `" .. tostring(stage) .. "`; there are " .. stage_names)
      end
      stages[stage] = true
    end
    if next(stages) == nil then misuse("stages must be a list of at least one stage") end
  end
  return {
    url = options.url, secret = options.secret, format = format, stages = stages, headers = options.headers,
    text = options.text and template.compile(options.text, { name = "text" }),
    timeout = options.timeout or 10, attempts = options.attempts or 3, delay = options.delay or 1,
  }
end

-- https://api.slack.com/reference/surfaces/formatting: these three, and no others.
local entities = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" }

local function escaped(value)
  if type(value) == "string" then return (value:gsub("[&<>]", entities)) end
  if type(value) ~= "table" then return value end
  local copy = {}
  for key, item in next, value do copy[key] = escaped(item) end
  return copy
end

local function seconds(ms)
  if ms < 60000 then return ("%.1f s"):format(ms / 1000) end
  return ("%d min %02d s"):format(math.floor(ms / 60000), math.floor(ms / 1000) % 60)
end

--- The line that is sent where no template is given: `climate-prod: terraform.network failed after 2.5 s: no answer`.
---@param event table
---@return string
function webhook.text(event)
  local ended = event.stage == "after_instance" or event.stage == "on_error" or event.stage == "after_pipeline"
  local words = { event.instance or "the pipeline", ended and event.result or STAGES[event.stage] or event.stage }
  if event.attempt and event.attempt > 1 then words[#words + 1] = "in attempt " .. ("%d"):format(event.attempt) end
  if ended and event.duration_ms then words[#words + 1] = "after " .. seconds(event.duration_ms) end
  local line = event.pipeline .. ": " .. table.concat(words, " ")
  if type(event.error) == "table" and event.error.message then line = line .. ": " .. event.error.message end
  return line
end

local function send(event, o)
  local values = o.format == "slack" and escaped(event) or event
  local text = o.text and o.text:render(values) or webhook.text(values)
  local body = { text = text }
  if o.format == "json" then
    for _, key in ipairs(SENT) do body[key] = event[key] end
  end
  local url = o.url or forge.secret.get(o.secret)
  retry.call(function()
    forge.http.request {
      method = "POST", url = url, json = body, headers = o.headers, timeout = o.timeout, raise = true,
    }
  end, { attempts = o.attempts, delay = o.delay })
end

--- Sends an event now. Errors are those of forge.http, a status of 400 or more among them.
---@param event table
---@param options webhook.Options
function webhook.send(event, options)
  local o = read(options)
  if not o.stages or o.stages[event.stage] then send(event, o) end
end

--- A hook: what its script returns.
---@param options webhook.Options
---@return fun(event: table)
function webhook.hook(options)
  local o = read(options)
  return function(event)
    if not o.stages or o.stages[event.stage] then send(event, o) end
  end
end

return webhook
