-- What scripts of every TSP box share: a queue of values, and strings by name.
-- dataqueue.*: it holds as many as its `CAPACITY` says
local waiting = {}
dataqueue = {
  CAPACITY = 128,
  add = function(value)
    if #waiting >= 128 then return false end
    waiting[#waiting + 1] = value
    return true
  end,
  next = function()
    local value = table.remove(waiting, 1)
    return value
  end,
  clear = function() waiting = {} end,
}
setmetatable(dataqueue, { __index = function(_, name) if name == "count" then return #waiting end end })

-- strings by name (userstring.*); the box keeps them for good, here they last as long as it runs
local strings = {}
userstring = {
  add = function(name, value) strings[name] = tostring(value) end,
  get = function(name) return strings[name] end,
  delete = function(name) strings[name] = nil end,
  catalog = function() return next, strings end,
}
