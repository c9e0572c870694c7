-- forge.async: tasks over outstanding host calls, and how every host call waits.
--
-- A task is a coroutine made by spawn. Only tasks are ever suspended; a host call made anywhere else (the main
-- function, a coroutine of the author's, a callback of gsub or sort) waits in place: replies to other requests that
-- come meanwhile are kept for their tasks, which go on at the next await. coroutine.yield() directly in a task lets
-- the other tasks have a turn.
--
-- A cancelled task finds the error async.cancelled where it waits, and again at every further call that would wait,
-- until it has ended: it may catch it, but not go on. What forge.finally has to clean up is let through.
local host, base, errors = ...
local error, next, pcall, select, setmetatable, tostring, type, unpack, xpcall =
  base.error, base.next, base.pcall, base.select, base.setmetatable, base.tostring, base.type, base.unpack,
  base.xpcall
local create, isyieldable, resume, running, status, yield =
  base.coroutine.create, base.coroutine.isyieldable, base.coroutine.resume, base.coroutine.running,
  base.coroutine.status, base.coroutine.yield
local concat, format, sort = base.table.concat, base.string.format, base.table.sort

local async = {}                                         -- async.warn is set once there is something to log with

local WAIT = {}                                          -- what a task yields while it waits; unknown to authors
local Task = { __metatable = "task" }                    -- all tasks' metatable
local tasks = setmetatable({}, { __mode = "k" })         -- coroutine -> task
local waiting = {}                                       -- request -> the task that waits for its reply
local dropped = {}                                       -- request -> true: nobody waits for its reply any more
local replies = {}                                       -- request -> {ok, value}, for those who wait in place
local ready, first, last = {}, 1, 0                      -- queue of tasks that can go on
local open = {}                                          -- task -> true: neither ended nor awaited so far
local active                                             -- the task whose code runs; nil: the main function
local count = 0

function Task.__tostring(task) return "task " .. task.id end

local function argument(call, position, name, expected, value)
  errors.raise("call.argument", format("forge.%s: argument %d (%s) must be %s, found %s", call, position, name,
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

local function advance(task, before, ok, what, ...)
  active = before
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
  local before = active
  active = task
  advance(task, before, resume(task.co, ...))
end

-- Raises in a task that was cancelled; `owner` is the task that is about to wait, or has waited.
local function check(owner)
  if owner and owner.cancelled and not owner.cleaning then
    owner.awaits = nil
    error(owner.cancelled, 0)
  end
end

local function checked(owner, ...)
  check(owner)
  return ...
end

-- coroutine.yield of extensions.
function async.yield(...)
  local task = current()
  if task then return checked(task, yield(...)) end
  return yield(...)
end

-- Before a call that waits is sent.
function async.check()
  if active then check(active) end
end

-- Takes one reply from the core; hands it to its task, if it is one's.
local function take_reply()
  local id, ok, value = host.wait()
  local task = waiting[id]
  if task then
    waiting[id], task.request = nil, nil
    enqueue(task, ok, value)
  elseif dropped[id] then
    dropped[id] = nil
  else
    replies[id] = { ok, value }
  end
end

local function title(task) return format("task %d (spawned at %s)", task.id, task.at) end

-- "task 1 (spawned at …) awaits task 2, …" of those that are not done, and of those that they await.
local function describe(list)
  local seen, found = {}, {}
  local function add(others)
    for i = 1, #others do
      local task = others[i]
      if not task.done and not seen[task] and #found < 8 then
        seen[task] = true
        found[#found + 1] = task
        if task.awaits then add(task.awaits) end
      end
    end
  end
  add(list)
  sort(found, function(a, b) return a.id < b.id end)
  for i = 1, #found do
    local task, names = found[i], {}
    for j = 1, #(task.awaits or {}) do
      if not task.awaits[j].done then names[#names + 1] = tostring(task.awaits[j]) end
    end
    found[i] = title(task) .. (#names > 0 and " awaits " .. concat(names, " and ") or " waits")
  end
  return concat(found, "; ")
end

-- Lets one task go on, or takes one reply; `list` is what is awaited.
local function run_one(list)
  if first <= last then
    local task = ready[first]
    ready[first] = nil
    first = first + 1
    local input = task.input
    if input then                                        -- nil: it was cancelled meanwhile
      task.input = nil
      step(task, unpack(input, 1, input.n))
    end
  elseif next(waiting) ~= nil then
    take_reply()
  else
    errors.raise("async.deadlock", "what is awaited can never end: nothing runs and no reply is outstanding: "
      .. describe(list), "let none of them wait for what waits for it", false)
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
    waiting[id], task.request = task, id
    return unwrap(checked(task, yield(WAIT)))
  end
  while not replies[id] do take_reply() end
  local reply = replies[id]
  replies[id] = nil
  check(active)
  return unwrap(reply[1], reply[2])
end

-- Whether one of `list` waits, over others, for `owner`.
local function leads_to(list, owner, seen)
  for i = 1, #list do
    local task = list[i]
    if task == owner then return true end
    if not task.done and task.awaits and not task.any and not seen[task] then
      seen[task] = true
      if leads_to(task.awaits, owner, seen) then return true end
    end
  end
  return false
end

-- Lets others run until `over()` is true; each of `list` ending is a reason to look again. `any`: one is enough.
local function wait_until(list, any, over)
  local owner = active
  if owner then
    check(owner)
    owner.awaits, owner.any = list, any
    if not any and leads_to(list, owner, {}) then
      local text = describe({ owner })
      owner.awaits = nil
      errors.raise("async.deadlock", "tasks that wait for each other: " .. text,
        "let none of them wait for what waits for it", false)
    end
  end
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
      run_one(list)
    end
    check(owner)
  end
  if owner then owner.awaits = nil end
end

local function all_done(list)
  for i = 1, #list do
    if not list[i].done then return false end
  end
  return true
end

local function any_done(list)
  for i = 1, #list do
    if list[i].done then return list[i] end
  end
end

local function first_failure(list)
  for i = 1, #list do
    if list[i].done and not list[i].ok then return list[i] end
  end
end

-- Whether the task was still running. It is let go on at once, to find the error, where it can be.
local function cancel(task)
  if task.done then return false end
  if task.cancelled then return true end
  task.cancelled = setmetatable({
    code = "async.cancelled", message = title(task) .. " was cancelled", retryable = false,
  }, errors.meta)
  if task.cleaning or status(task.co) ~= "suspended" then return true end
  if task.request then
    waiting[task.request], dropped[task.request] = nil, true
    host.cancel(task.request)
    task.request = nil
  end
  task.parked, task.input = nil, nil
  step(task)
  return true
end

local function begin_cleaning(owner)
  if owner then owner.cleaning = (owner.cleaning or 0) + 1 end
end

local function end_cleaning(owner)
  if owner then owner.cleaning = owner.cleaning > 1 and owner.cleaning - 1 or nil end
end

-- Cancels what has not ended and waits until its cleanups are through.
local function put_down(list)
  for i = 1, #list do
    open[list[i]] = nil
    cancel(list[i])
  end
  if not all_done(list) then
    local owner = active
    begin_cleaning(owner)
    local ok, problem = pcall(wait_until, list, false, function() return all_done(list) end)
    end_cleaning(owner)
    if not ok then error(problem, 0) end
  end
  for i = 1, #list do
    local task = list[i]
    if task.cancelled and not task.ok and task.result[1] ~= task.cancelled then
      async.warn(format("task %d, spawned at %s, failed after it was cancelled: %s", task.id, task.at,
        tostring(errors.normal(task.result[1]))))
    end
  end
end

local function collect(task)
  open[task] = nil
  if task.ok then return unpack(task.result, 1, task.result.n) end
  host.rethrow(task.result[1], task.traceback or "")
end

local function new_task(f, ...)
  check(active)
  count = count + 1
  local task = setmetatable({ id = count, at = host.where(), co = create(f) }, Task)
  tasks[task.co] = task
  open[task] = true
  step(task, ...)
  return task
end

-- spawn(f, ...) -> task. f runs at once, up to the first host call that it waits for.
function async.spawn(f, ...)
  if type(f) ~= "function" then argument("async.spawn", 1, "f", "a function", f) end
  return new_task(f, ...)
end

-- await(task) -> what its function returned; raises what it raised.
function async.await(task)
  if not is_task(task) then argument("async.await", 1, "task", "a task that forge.async.spawn made", task) end
  wait_until({ task }, false, function() return task.done end)
  return collect(task)
end

-- cancel(task) -> whether it was still running.
function async.cancel(task)
  if not is_task(task) then argument("async.cancel", 1, "task", "a task that forge.async.spawn made", task) end
  local ran = cancel(task)
  if ran then task.quiet = true end
  if task == active then check(task) end
  return ran
end

local function task_list(call, list)
  if type(list) ~= "table" or is_task(list) then argument(call, 1, "tasks", "a list of tasks or functions", list) end
  for i = 1, #list do
    local item = list[i]
    if type(item) ~= "function" and not is_task(item) then
      argument(call, 1, "tasks", "a list of tasks or functions", item)
    end
  end
  local out = {}
  for i = 1, #list do out[i] = type(list[i]) == "function" and new_task(list[i]) or list[i] end
  return out
end

-- Waits for `over`, a group of tasks being owned: whatever ends the wait with an error ends them.
local function wait_for(group, any, over)
  local ok, problem = pcall(wait_until, group, any, over)
  if ok then return end
  put_down(group)
  error(problem, 0)
end

-- all(list) -> the first result of each, in order. The first failure cancels the others and is raised.
function async.all(list)
  local group = task_list("async.all", list)
  wait_for(group, false, function() return first_failure(group) or all_done(group) end)
  local failed = first_failure(group)
  if failed then
    put_down(group)
    return collect(failed)
  end
  local results = {}
  for i = 1, #group do results[i] = collect(group[i]) end
  return results
end

-- race(list) -> what the first one to end returned (or raises what it raised); cancels the others.
function async.race(list)
  local group = task_list("async.race", list)
  if #group == 0 then argument("async.race", 1, "tasks", "a list of at least one task or function", list) end
  local winner
  wait_for(group, true, function()
    winner = any_done(group)
    return winner
  end)
  put_down(group)
  return collect(winner)
end

local function map_limit(options)
  if options == nil then return 8 end
  if type(options) ~= "table" then argument("async.map", 3, "options", "a table {limit}", options) end
  for key in next, options do
    if key ~= "limit" then
      errors.raise("call.argument", "forge.async.map: there is no option `" .. tostring(key) .. "`; there is limit",
        "", false)
    end
  end
  local limit = options.limit
  if limit == nil then return 8 end
  if type(limit) ~= "number" or limit < 1 or limit % 1 ~= 0 then
    errors.raise("call.argument", "forge.async.map: limit must be a whole number from 1, found " .. tostring(limit),
      "", false)
  end
  return limit
end

-- map(list, f, {limit = 8}) -> the first result of f(item, index) for each item, in order; at most `limit` at a time.
-- The first failure cancels the others and is raised.
function async.map(list, f, options)
  if type(list) ~= "table" then argument("async.map", 1, "list", "a list", list) end
  if type(f) ~= "function" then argument("async.map", 2, "f", "a function", f) end
  local limit = map_limit(options)
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
    wait_for(group, true, function() return any_done(group) end)
    local failed = first_failure(group)
    if failed then
      put_down(group)
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

local function after(owner, cleanup, ok, ...)
  begin_cleaning(owner)
  local clean, problem = xpcall(cleanup, host.on_error)
  end_cleaning(owner)
  if not ok then error((...), 0) end
  if not clean then error(problem, 0) end
  return ...
end

-- forge.finally(f, cleanup) -> what f returned. cleanup() follows however f ended; then f's error is raised, else
-- cleanup's.
function async.finally(f, cleanup)
  if type(f) ~= "function" then argument("finally", 1, "f", "a function", f) end
  if type(cleanup) ~= "function" then argument("finally", 2, "cleanup", "a function", cleanup) end
  return after(active, cleanup, xpcall(f, host.on_error))
end

-- At the end of what the author's function did: a task that failed and was awaited by nobody fails the instance; one
-- that has not ended is cancelled with a warning.
function async.settle()
  if next(open) == nil then return end
  local list = {}
  for task in next, open do list[#list + 1] = task end
  open = {}
  sort(list, function(a, b) return a.id < b.id end)
  local failed
  for i = 1, #list do
    local task = list[i]
    if not task.done and not task.quiet then
      task.quiet = true
      async.warn(format("task %d, spawned at %s, was not awaited and is dropped unfinished", task.id, task.at))
    end
    if not task.quiet and not task.ok and not failed then failed = task end
  end
  put_down(list)
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
