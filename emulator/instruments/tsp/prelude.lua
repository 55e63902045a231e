-- What a script finds in a TSP box before it is run: the safe part of Lua's libraries, and the box's objects.
-- `host` calls Python and gets `true, value...` or `false, message`; scripts see closures only, never the host.
local host, bound, hook = ...
local yield, create, resume, status = coroutine.yield, coroutine.create, coroutine.resume, coroutine.status
local coroutine_running = coroutine.running
local sethook, loadstring_, rawget_, type_, error_ = debug.sethook, loadstring, rawget, type, error
local tostring_, metatable = tostring, getmetatable
local rep, find, gsub, len = string.rep, string.find, string.gsub, string.len

local function checked(ok, ...)
  if ok then return ... end
  error_(..., 0)
end

local function call(...) return checked(host(...)) end

-- objects: tables whose attributes live in the instrument ---------------------------------------------------------
local paths = setmetatable({}, { __mode = "k" })

local function object(path)
  local made = {}
  paths[made] = path
  return setmetatable(made, {
    __metatable = false,
    __index = function(_, key) return call("get", path, key) end,
    __newindex = function(_, key, value) call("put", path, key, paths[value] or value) end,
  })
end

-- what a script learns of an object: its attributes are functions of its metatable, as in the boxes (from the driver
-- keithley2600 2.1, which reads a box's whole tree that way); a copy, so that nobody reaches the real one
local columns = { readings = true, timestamps = true, sourcevalues = true, statuses = true, units = true }
local function described(path)
  local made = { Getters = {}, Setters = {}, Objects = {} }
  for name, sets in string.gmatch(call("names", path), "([%w_]+)(=?)") do
    made.Getters[name] = function() return call("get", path, name) end
    if sets ~= "" then made.Setters[name] = function(value) call("put", path, name, paths[value] or value) end end
  end
  local last = string.match(path, "[^.]+$")
  if columns[last] then made.luatype = "synchronous_table" end
  if string.find(last, "buffer", 1, true) then made.luatype = "reading_buffer" end
  return made
end

local function handed(...)  -- objects are handed to the instrument by name
  local given, count = { ... }, select("#", ...)
  for i = 1, count do
    given[i] = paths[given[i]] or given[i]
  end
  return unpack(given, 1, count)
end

local function place(path, value)  -- a node that is a number is an index: `limit.1` is limit[1]
  local at = _G
  for node in string.gmatch(path, "([^.]+)%.") do
    at = rawget_(at, tonumber(node) or node)
  end
  local last = string.match(path, "[^.]+$")
  rawset(at, tonumber(last) or last, value)
end

local kinds = {
  object = function(path) place(path, object(path)) end,
  method = function(path)
    place(path, function(...) return call("call", path, handed(...)) end)
  end,
}

local function buffer(path)  -- a reading buffer: attributes, columns and `clear`
  local made = object(path)
  for column in string.gmatch(call("columns"), "%w+") do
    local values = object(path .. "." .. column)
    rawset(values, "getreading", function(index) return values[index] end)
    rawset(made, column, values)
  end
  rawset(made, "clear", function() return call("call", path .. ".clear") end)
  rawset(made, "clearcache", function() end)
  return made
end
kinds.buffer = function(path) place(path, buffer(path)) end
kinds.maker = function(path)  -- a function that makes buffers
  place(path, function(...) return buffer(call("makebuffer", ...)) end)
end

-- functions of the box ---------------------------------------------------------------------------------------------
local waiting, ended = {}, {}
kinds.builtin = function()
  print = function(...)
    local given, count = { ... }, select("#", ...)
    for i = 1, count do
      local kind = type_(given[i])
      if kind == "table" or kind == "function" then given[i] = tostring_(given[i]) end
    end
    call("print", unpack(given, 1, count))
  end
  printnumber = function(...) call("printnumber", handed(...)) end
  printbuffer = function(...) call("printbuffer", handed(...)) end
  delay = function(seconds) call("delay", seconds) end
  trigger = object("trigger")
  rawset(trigger, "wait", function(seconds) return yield(waiting, seconds) end)
  rawset(trigger, "clear", function() call("call", "trigger.clear") end)
  makegetter = function(owner, name) return function() return owner[name] end end
  makesetter = function(owner, name) return function(value) owner[name] = value end end
  waitcomplete = function() call("call", "waitcomplete") end
  opc = function() call("call", "opc") end
  script_of = function(run)  -- a script: it runs when it is called, and by its `run`; nothing outlives the session
    return setmetatable({ run = run, source = "", save = function() end }, { __call = function(_, ...) return run(...) end })
  end
  exit = function() error_(ended, 0) end
  script = {
    run = function(...) return script_anonymous(...) end,
    anonymous = { run = function(...) return script_anonymous(...) end },
    delete = function(name) _G[name] = nil end,
  }
  run = script.run
end
kinds.indexed = function(path)  -- `slot.1` becomes slot[1]
  local owner, index = string.match(path, "^(%w+)%.(%d+)$")
  if rawget_(_G, owner) == nil then rawset(_G, owner, {}) end
  rawset(rawget_(_G, owner), tonumber(index), object(path))
end
kinds.smu = function(path)
  local smu = rawget_(_G, path)
  rawset(smu, "makebuffer", function(size) return buffer(call("makebuffer", size)) end)
  paths[smu] = path
end

-- the safe part of the libraries -----------------------------------------------------------------------------------
local keep = { "assert", "error", "gcinfo", "getmetatable", "ipairs", "next", "pairs", "pcall", "rawequal", "rawget",
  "rawset", "select", "setmetatable", "tonumber", "tostring", "type", "unpack", "xpcall", "_VERSION" }
local libraries = { math = math, table = table, string = string }
local time, clock = os.time, os.clock

for name in pairs(_G) do
  local kept = name == "_G" or libraries[name] ~= nil
  for _, wanted in ipairs(keep) do kept = kept or name == wanted end
  if not kept then _G[name] = nil end
end
string.dump = nil
getmetatable = function(value)
  if paths[value] then return described(paths[value]) end
  return metatable(value)
end
os = { time = function() return call("time") end, clock = function() return call("clock") end }
collectgarbage = function() return 0 end
loadstring = function(text, name)
  if type_(text) ~= "string" or string.byte(text) == 27 then error_("attempt to load what is no text", 2) end
  return loadstring_(text, name)
end

local function matches(subject, pattern)  -- backtracking grows with the length to the power of the repetitions
  local _, many = gsub(pattern, "[%*%-%+%?]", "")
  if len(subject) ^ (many + 1) > bound then error_("pattern too complex", 3) end
end
for _, name in ipairs({ "find", "match", "gmatch", "gsub" }) do
  local plain = string[name]
  string[name] = function(subject, pattern, ...)
    subject, pattern = tostring(subject), tostring(pattern)
    matches(subject, pattern)
    return plain(subject, pattern, ...)
  end
end
string.gfind = string.gmatch
string.rep = function(text, count)
  if (len(text) + 1) * count > bound then error_("string too long", 2) end
  return rep(text, count)
end

-- running ----------------------------------------------------------------------------------------------------------
local left
local function tick()
  left = left - hook
  if left <= 0 then
    sethook(coroutine_running(), tick, "", 1)  -- so that no pcall of the script goes on for long
    error_("\1-286\1TSP Runtime error: the script does not end", 0)
  end
end

local interface = {}
function interface.make(kind, path) kinds[kind](path) end
function interface.set(path, value) place(path, value) end
local thread  -- of the one message that is being carried out
local byte = string.byte
local compiled, kept = {}, 0
local function advance(ok, what, seconds)
  if not ok and what == ended then return "done" end
  if not ok then return "error", what end
  if status(thread) == "dead" then return "done" end
  if what == waiting then return "wait", seconds end
  return "error", "attempt to yield from outside a coroutine"
end
function interface.start(text, name, budget)  -- compiles a message and runs it until it ends or waits
  local chunk = compiled[text]
  if not chunk then
    if byte(text) == 27 then return "syntax", "unexpected symbol" end
    local problem
    chunk, problem = loadstring_(text, name)
    if not chunk then return "syntax", problem end
    if kept < 200 and len(text) < 200 then kept, compiled[text] = kept + 1, chunk end
  end
  thread = create(chunk)
  sethook(thread, tick, "", hook)
  left = budget
  return advance(resume(thread))
end
function interface.go(budget, ...)
  left = budget
  return advance(resume(thread, ...))
end
return interface
