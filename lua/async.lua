-- forge.async: tasks over outstanding host calls, and how every host call waits.
--
-- A task is a coroutine made by spawn. Only tasks are ever suspended; a host call made anywhere else (the main
-- function, a coroutine of the author's, a callback of gsub or sort) waits in place: replies to other requests that
-- come meanwhile are kept for their tasks, which go on at the next await. coroutine.yield() directly in a task lets
-- the other tasks have a turn.
local host, base, errors = ...
local error, next, select, setmetatable, tostring, type, unpack =
  base.error, base.next, base.select, base.setmetatable, base.tostring, base.type, base.unpack
local create, isyieldable, resume, running, status, yield =
  base.coroutine.create, base.coroutine.isyieldable, base.coroutine.resume, base.coroutine.running,
  base.coroutine.status, base.coroutine.yield
local format, sort = base.string.format, base.table.sort

local async = {}

local WAIT = {}                                          -- what a task yields while it waits; unknown to authors
local Task = { __metatable = "task" }                    -- all tasks' metatable
local tasks = setmetatable({}, { __mode = "k" })         -- coroutine -> task
local waiting = {}                                       -- request -> the task that waits for its reply
local replies = {}                                       -- request -> {ok, value}, for those who wait in place
local ready, first, last = {}, 1, 0                      -- queue of tasks that can go on
local open = {}                                          -- task -> true: not awaited so far
local count = 0

function Task.__tostring(task) return "task " .. task.id end

local function argument(call, position, name, expected, value)
  errors.raise("call.argument", format("forge.async.%s: argument %d (%s) must be %s, found %s", call, position, name,
    expected, type(value)), "", false)
end

local function is_task(value) return type(value) == "table" and base.getmetatable(value) == "task" end

-- The task that is running, when it can be suspended here.
local function current()
  local co = running()
  local task = co and tasks[co]
  return task and isyieldable() and task or nil
end

local function enqueue(task, ...)
  task.input = { n = select("#", ...), ... }
  last = last + 1
  ready[last] = task
end

local function finish(task, ok, ...)
  task.done, task.ok = true, ok
  task.result = { n = select("#", ...), ... }
  local waiters = task.waiters
  task.waiters = nil
  if waiters == nil then return end
  for waiter in next, waiters do
    if waiter.parked then
      waiter.parked = nil
      enqueue(waiter)
    end
  end
end

local function advance(task, ok, what, ...)
  if not ok then
    task.traceback = host.traceback(task.co)
    finish(task, false, what)
  elseif status(task.co) == "dead" then
    finish(task, true, what, ...)
  elseif what ~= WAIT then
    enqueue(task)
  end
end

local function step(task, ...)
  if task.cancelled then return end
  advance(task, resume(task.co, ...))
end

-- Takes one reply from the core; hands it to its task, if it is one's.
local function take_reply()
  local id, ok, value = host.wait()
  local task = waiting[id]
  if task then
    waiting[id] = nil
    if not task.cancelled then enqueue(task, ok, value) end
  else
    replies[id] = { ok, value }
  end
end

local function run_one()
  if first <= last then
    local task = ready[first]
    ready[first] = nil
    first = first + 1
    local input = task.input
    task.input = nil
    step(task, unpack(input, 1, input.n))
  elseif next(waiting) ~= nil then
    take_reply()
  else
    errors.raise("async.deadlock", "what is awaited can never end: nothing is running and no reply is outstanding",
      "a task that awaits itself, or two that await each other, never end", false)
  end
end

local function unwrap(ok, ...)
  if ok then return ... end
  error((...), 0)
end

-- The reply to a request, suspending the task that asks, or waiting in place.
function async.receive(id)
  local task = current()
  if task then
    waiting[id] = task
    return unwrap(yield(WAIT))
  end
  while not replies[id] do take_reply() end
  local reply = replies[id]
  replies[id] = nil
  return unwrap(reply[1], reply[2])
end

-- Lets others run until `over()` is true; each of `list` ending is a reason to look again.
local function wait_until(list, over)
  while not over() do
    local task = current()
    if task then
      for i = 1, #list do
        local other = list[i]
        if not other.done then
          other.waiters = other.waiters or {}
          other.waiters[task] = true
        end
      end
      task.parked = true
      yield(WAIT)
    else
      run_one()
    end
  end
end

local function cancel(task)
  open[task] = nil
  if not task.done then
    task.cancelled = true
    finish(task, false, "the task was cancelled")
  end
end

local function collect(task)
  open[task] = nil
  if task.ok then return unpack(task.result, 1, task.result.n) end
  host.rethrow(task.result[1], task.traceback or "")
end

local function new_task(f, ...)
  count = count + 1
  local task = setmetatable({ id = count, at = host.where(), co = create(f) }, Task)
  tasks[task.co] = task
  open[task] = true
  step(task, ...)
  return task
end

-- spawn(f, ...) -> task. f runs at once, up to the first host call that it waits for.
function async.spawn(f, ...)
  if type(f) ~= "function" then argument("spawn", 1, "f", "a function", f) end
  return new_task(f, ...)
end

-- await(task) -> what its function returned; raises what it raised.
function async.await(task)
  if not is_task(task) then argument("await", 1, "task", "a task that forge.async.spawn made", task) end
  wait_until({ task }, function() return task.done end)
  return collect(task)
end

local function task_list(call, list)
  if type(list) ~= "table" or is_task(list) then argument(call, 1, "tasks", "a list of tasks or functions", list) end
  local out = {}
  for i = 1, #list do
    local item = list[i]
    if type(item) == "function" then
      out[i] = new_task(item)
    elseif is_task(item) then
      out[i] = item
    else
      argument(call, 1, "tasks", "a list of tasks or functions", item)
    end
  end
  return out
end

local function first_failure(list)
  for i = 1, #list do
    if list[i].done and not list[i].ok then return list[i] end
  end
end

-- all(list) -> the first result of each, in order. The first failure is raised at once and cancels the others.
function async.all(list)
  local group = task_list("all", list)
  wait_until(group, function()
    if first_failure(group) then return true end
    for i = 1, #group do
      if not group[i].done then return false end
    end
    return true
  end)
  local failed = first_failure(group)
  if failed then
    for i = 1, #group do cancel(group[i]) end
    return collect(failed)
  end
  local results = {}
  for i = 1, #group do results[i] = collect(group[i]) end
  return results
end

-- race(list) -> what the first one to end returned (or raises what it raised); cancels the others.
function async.race(list)
  local group = task_list("race", list)
  if #group == 0 then argument("race", 1, "tasks", "a list of at least one task or function", list) end
  local winner
  wait_until(group, function()
    for i = 1, #group do
      if group[i].done then
        winner = group[i]
        return true
      end
    end
    return false
  end)
  for i = 1, #group do
    if group[i] ~= winner then cancel(group[i]) end
  end
  return collect(winner)
end

-- map(list, f, {limit = 8}) -> the first result of f(item, index) for each item, in order; at most `limit` at a time.
-- The first failure is raised at once and cancels the others.
function async.map(list, f, options)
  if type(list) ~= "table" then argument("map", 1, "list", "a list", list) end
  if type(f) ~= "function" then argument("map", 2, "f", "a function", f) end
  local limit = 8
  if options ~= nil then
    if type(options) ~= "table" then argument("map", 3, "options", "a table {limit}", options) end
    for key, value in next, options do
      if key ~= "limit" then
        errors.raise("call.argument", "forge.async.map: there is no option `" .. tostring(key) .. "`; there is limit",
          "", false)
      end
      if type(value) ~= "number" or value < 1 or value % 1 ~= 0 then
        errors.raise("call.argument", "forge.async.map: limit must be a whole number from 1, found " .. tostring(value),
          "", false)
      end
      limit = value
    end
  end
  local total, started = #list, 0
  local group, results = {}, {}                          -- group: those that run
  local index = {}                                       -- task -> its place
  while #group > 0 or started < total do
    while #group < limit and started < total do
      started = started + 1
      local task = new_task(f, list[started], started)
      index[task] = started
      group[#group + 1] = task
    end
    wait_until(group, function()
      for i = 1, #group do
        if group[i].done then return true end
      end
      return false
    end)
    local failed = first_failure(group)
    if failed then
      for i = 1, #group do cancel(group[i]) end
      return collect(failed)
    end
    local rest = {}
    for i = 1, #group do
      local task = group[i]
      if task.done then
        results[index[task]] = collect(task)
      else
        rest[#rest + 1] = task
      end
    end
    group = rest
  end
  return results
end

-- At the end of what the author's function did: a task that failed and was awaited by nobody fails the instance; one
-- that has not ended is dropped with a warning.
function async.settle(warn)
  if next(open) == nil then return end
  local list = {}
  for task in next, open do list[#list + 1] = task end
  open = {}
  sort(list, function(a, b) return a.id < b.id end)
  local failed
  for i = 1, #list do
    local task = list[i]
    if not task.done then
      cancel(task)
      warn(format("task %d, spawned at %s, was not awaited and is dropped unfinished", task.id, task.at))
    elseif not task.ok and not failed then
      failed = task
    end
  end
  if failed then
    local e = errors.normal(failed.result[1])
    e = setmetatable({
      code = e.code, hint = e.hint, retryable = e.retryable,
      message = format("task %d, spawned at %s, failed and nobody awaited it: %s", failed.id, failed.at, tostring(e)),
    }, errors.meta)
    host.rethrow(e, failed.traceback or "")
  end
end

return async
