-- What a touch-screen box (2450) has that is a table of Lua's own (2450 Reference Manual, buffer.getstats).
local statistics = rawget(buffer, "getstats")
rawset(buffer, "getstats", function(...)
  local n, mean, sd, least, least_at, most, most_at = statistics(...)
  local function reading(value, at)
    if value == nil then return nil end
    local whole = math.floor(at)
    return { reading = value, timestamp = at, seconds = whole, fractionalseconds = at - whole }
  end
  return { n = n, mean = mean, stddev = sd, min = reading(least, least_at), max = reading(most, most_at) }
end)
