-- What every VM starts with. Run once for each worker, before the snapshot that every job begins from; nothing of an
-- extension has run then. The parts are the other files of this folder; they use upvalues only, never globals, so that
-- nothing that an extension does to its own globals changes what happens here.
--
--   host   C functions of the VM (src/vm/host.cc)
--   base   the standard libraries as LuaJIT opens them; the sandbox takes from it what it allows
--   part   part(name): another file of this folder, compiled
local host, base, part = ...

local errors = part("errors")(host, base)
local async = part("async")(host, base, errors)
local forge = part("forge")(host, base, errors, async)
local sandbox = part("sandbox")(host, base, errors, async, forge)
local start = part("lifecycle")(host, base, errors, async, forge, sandbox)

return start, sandbox.globals, errors.meta, forge.marks.list, forge.marks.map
