--- venv: a Python environment made of requirements, made once for all that ask for the same.
---
--- Its folder is named after a digest of the requirements, the version of Python and the platform, so that it never has
--- to be brought up to date. It is made in its final place (scripts of an environment hold its path) by whoever holds
--- its lock: a folder that is not empty, moved to the lock's name, which succeeds for one only. Who holds it writes the
--- time into it every few seconds; a lock that was left behind is taken over. The environment counts as made once the
--- file `complete` is in it.
local _, kit = ...
local forge = require "forge"

local venv = {}

local BEAT, STALE = 5, 60                                -- seconds
local MAX_INCLUDES = 8

local function misuse(message) kit.raise("call.argument", "venv.make: " .. message, "", false) end
local function refuse(code, message, hint) kit.raise(code, message, hint, false) end

---@class venv.Options
---@field requirements string|string[] the name of a requirements file, or its lines
---@field folder? string where environments are; default `venvs` in the work folder. What is shared has to be granted
---@field python? string the program; default python3
---@field installer? "uv"|"pip" default uv where it is granted and there, else pip
---@field timeout? number seconds for making it, and for waiting until another has made it; default 1800
---@field env? table<string, string> further environment variables of the installer, such as PIP_INDEX_URL

---@class venv.Environment
---@field path string its folder
---@field python string its interpreter
---@field key string the digest it is named after
---@field made boolean whether this call made it
local Environment = {}
Environment.__index = Environment

local known = { requirements = true, folder = true, python = true, installer = true, timeout = true, env = true }

local function lines_of(text)
  local list = {}
  for line in (text:gsub("\\\r?\n", "") .. "\n"):gmatch("(.-)\r?\n") do
    line = line:gsub("^%s+", ""):gsub("^#.*$", ""):gsub("%s+#.*$", ""):gsub("%s+$", "")
    if line ~= "" then list[#list + 1] = line end
  end
  return list
end

-- The folder of a path, with its last `/`.
local function folder_of(path) return path:match("^(.*/)[^/]*$") or "" end

-- Adds the lines, those of included files in their place: what the digest does not see must not count.
local function flatten(lines, base, out, depth)
  if depth > MAX_INCLUDES then
    refuse("venv.requirements", "requirements files include each other more than " .. MAX_INCLUDES .. " levels deep",
      "put the lines into one file")
  end
  for _, line in ipairs(lines) do
    if type(line) ~= "string" then misuse("requirements must be texts, found a " .. type(line) .. " in the list") end
    local included = line:match("^%-r%s*(.+)$") or line:match("^%-%-requirement[%s=]+(.+)$")
    if included then
      local path = included:sub(1, 1) == "/" and included or base .. included
      flatten(lines_of(forge.fs.read(path)), folder_of(path), out, depth + 1)
    elseif line:find("^%-e") or line:find("^%-%-editable") or line:find("^%-c") or line:find("^%-%-constraint")
      or line:find("^%.") or line:find("^/") or line:find("file:", 1, true) then
      refuse("venv.requirements", "the requirement `" .. line .. "` names a file, whose content is not seen",
        "build a wheel, and name it with its version and `--find-links FOLDER`; write constraints as requirements")
    else
      out[#out + 1] = line
    end
  end
  return out
end

local function requirements_of(value)
  if type(value) == "string" then
    return flatten(lines_of(forge.fs.read(value)), folder_of(value), {}, 1)
  elseif type(value) == "table" then
    local list = {}
    for i = 1, #value do
      if type(value[i]) ~= "string" then misuse("requirements must be texts, found a " .. type(value[i])) end
      for _, line in ipairs(lines_of(value[i])) do list[#list + 1] = line end
    end
    return flatten(list, "", {}, 1)
  end
  misuse("requirements must be the name of a file or a list of lines, found " .. type(value))
end

-- What the digest covers; the folder's absolute path, which scripts of an environment hold; where uv is.
local PROBE = "import os, shutil, sys, sysconfig; print(sys.implementation.name, '%d.%d.%d' % sys.version_info[:3], "
  .. "sysconfig.get_platform()); print(os.path.abspath(sys.argv[1])); print(shutil.which('uv') or '')"
-- Programs are named, not pathed: the interpreter of an environment is reached over the one that made it.
local HAND_OVER = "import os, sys; os.execv(sys.argv[1], sys.argv[1:])"

local function last_lines(text)
  local list = {}
  for line in (text:gsub("%s+$", "") .. "\n"):gmatch("(.-)\n") do list[#list + 1] = line end
  return table.concat(list, "\n", math.max(1, #list - 9))
end

local function run(argv, options, what)
  local result = forge.process.run(argv, options)
  if result.code ~= 0 then
    local text = result.stderr ~= "" and result.stderr or result.stdout
    forge.fail {
      code = "venv.failed",
      message = what .. " failed with " .. (result.signal or "exit code " .. result.code)
        .. (text ~= "" and ":\n" .. last_lines(text) or ""),
      hint = "check the requirements, and that the installer is granted the network",
    }
  end
  return result
end

-- uv is tried only where it is there: an extension that does not ask for it is not refused it in every run.
local function installer_of(wanted, uv)
  if wanted then return wanted end
  if uv == "" then return "pip" end
  local result = forge.try(forge.process.run, { "uv", "--version" }, { timeout = 30 })
  return result and result.code == 0 and "uv" or "pip"
end

local function build(path, lines, options)
  local python = options.python
  local limits = { timeout = options.timeout, env = options.env }
  if options.installer == "uv" then
    run({ "uv", "venv", "--python", python, path }, limits, "uv venv")
  else
    run({ python, "-m", "venv", path }, limits, python .. " -m venv")
  end
  local file = path .. "/requirements.txt"
  forge.fs.write(file, table.concat(lines, "\n") .. "\n")
  if #lines > 0 then
    if options.installer == "uv" then
      run({ "uv", "pip", "install", "--python", path .. "/bin/python", "-r", file }, limits, "uv pip install")
    else
      run({
        python, "-c", HAND_OVER, path .. "/bin/python", "-m", "pip", "install", "--no-input",
        "--disable-pip-version-check", "-r", file,
      }, limits, "pip install")
    end
  end
  forge.fs.write(path .. "/complete", forge.time.format(forge.time.now()) .. "\n")
end

-- Whether we have the lock now.
local function take(lock)
  local mine = lock .. "." .. forge.uuid()
  forge.fs.mkdir(mine)
  forge.fs.write(mine .. "/beat", tostring(forge.time.now()))
  local _, problem = forge.try(forge.fs.move, mine, lock)
  if not problem then return true end
  forge.fs.remove(mine)
  if problem.code ~= "os.enotempty" and problem.code ~= "os.eexist" then error(problem, 0) end
  -- Somebody has it. One that beats no more is moved away, by one of those who see it.
  local beat = tonumber((forge.try(forge.fs.read, lock .. "/beat")))
  if beat and forge.time.now() - beat > STALE then
    local gone = lock .. "." .. forge.uuid()
    if forge.try(function() forge.fs.move(lock, gone) return true end) then
      if forge.fs.read(gone .. "/beat") == tostring(beat) then
        forge.fs.remove(gone)
      else
        forge.fs.move(gone, lock)                        -- another one was faster: this is its lock
      end
    end
  end
  return false
end

local function build_locked(path, lock, lines, options)
  forge.finally(function()
    if forge.fs.exists(path) then forge.fs.remove(path) end  -- what one that died left behind
    forge.async.race {
      function() build(path, lines, options) end,
      function()
        while true do
          forge.time.sleep(BEAT)
          forge.fs.write(lock .. "/beat", tostring(forge.time.now()))
        end
      end,
    }
  end, function() forge.fs.remove(lock) end)
end

local function check(options)
  if type(options) ~= "table" then misuse("argument 1 (options) must be a table, found " .. type(options)) end
  for key in next, options do
    if not known[key] then
      misuse("there is no option `" .. tostring(key) .. "`; there are env, folder, installer, python, requirements, "
        .. "timeout")
    end
  end
  for _, name in ipairs { "folder", "python" } do
    local value = options[name]
    if value ~= nil and (type(value) ~= "string" or value == "") then
      misuse(name .. " must be a text, found " .. (value == "" and "an empty one" or type(value)))
    end
  end
  if options.installer ~= nil and options.installer ~= "uv" and options.installer ~= "pip" then
    misuse("installer must be uv or pip, found " .. tostring(options.installer))
  end
  if options.env ~= nil and type(options.env) ~= "table" then
    misuse("env must be a table, found " .. type(options.env))
  end
  local timeout = options.timeout
  if timeout ~= nil and (type(timeout) ~= "number" or not (timeout > 0 and timeout <= 86400)) then
    misuse("timeout must be a number of seconds up to 86400, found " .. tostring(timeout))
  end
end

--- The environment with these requirements, made if it is not there. Needs python3 (or `python`) in `programs`, and
--- `network: true` with it where packages come from an index; with uv, that too. Errors: `venv.requirements`,
--- `venv.failed`, `venv.timeout`, and those of fs and process.
---@param options venv.Options
---@return venv.Environment
function venv.make(options)
  check(options)
  local lines = requirements_of(options.requirements)
  local python = options.python or "python3"
  local probed = run({ python, "-c", PROBE, options.folder or "venvs" }, { timeout = 60 }, python).stdout
  local platform, folder, uv = probed:match("^([^\n]+)\n([^\n]+)\n([^\n]*)\n$")
  if not platform then
    forge.fail { code = "venv.failed", message = python .. " does not say what it is", hint = "name a Python 3" }
  end
  local key = forge.digest.sha256(forge.json.encode { lines = forge.list(lines), platform = platform }):sub(1, 32)
  local path, lock = folder .. "/" .. key, folder .. "/" .. key .. ".lock"
  local environment = setmetatable({
    path = path, python = path .. "/bin/python", key = key, made = false, launcher = python,
  }, Environment)
  local complete = path .. "/complete"
  if forge.fs.exists(complete) then return environment end
  local settings = {
    python = python, installer = installer_of(options.installer, uv), timeout = options.timeout or 1800,
    env = options.env,
  }
  forge.fs.mkdir(folder)
  local give_up = forge.time.now() + settings.timeout
  local wait = 0.05
  while true do
    if take(lock) then
      if forge.fs.exists(complete) then
        forge.fs.remove(lock)
        return environment
      end
      build_locked(path, lock, lines, settings)
      environment.made = true
      return environment
    end
    if forge.fs.exists(complete) then return environment end
    if forge.time.now() > give_up then
      forge.fail {
        code = "venv.timeout", message = "another one has been making " .. path .. " for longer than "
          .. settings.timeout .. " s", hint = "give a longer timeout, or remove " .. lock .. " if nobody makes it",
      }
    end
    forge.time.sleep(wait)
    wait = math.min(wait * 2, 2)
  end
end

--- Runs a program of the environment, as `forge.process.run` does: `env:run({"python", "work.py"}, {cwd = …})`. The
--- first word is a name in its `bin` folder.
---@param argv string[]
---@param options? table those of forge.process.run
---@return table result {code, signal, stdout, stderr}
function Environment:run(argv, options)
  if getmetatable(self) ~= Environment then
    kit.raise("call.argument", "environment:run: call it with a colon", "", false)
  end
  if type(argv) ~= "table" or type(argv[1]) ~= "string" or argv[1]:find("/", 1, true) or argv[1] == "" then
    kit.raise("call.argument", "environment:run: argument 1 (argv) must be a list that begins with the name of a "
      .. "program of the environment", "", false)
  end
  local all = { self.launcher, "-c", HAND_OVER, self.path .. "/bin/" .. argv[1] }
  for i = 2, #argv do all[#all + 1] = argv[i] end
  return forge.process.run(all, options)
end

return venv
