-- Sweeps and pulses that the boxes ship as scripts, by their names and arguments (2600B Reference Manual, KISweep and
-- KIPulse; from memory).
local function sweep(source, measure, logarithmic)
  return function(smu, start, stop, stime, points)
    smu.nvbuffer1.clear()
    smu.source.func = source == "v" and smu.OUTPUT_DCVOLTS or smu.OUTPUT_DCAMPS
    smu.source.output = smu.OUTPUT_ON
    smu.nvbuffer1.appendmode = 1
    for i = 0, points - 1 do
      local part = points > 1 and i / (points - 1) or 0
      local level = logarithmic and start * (stop / start) ^ part or start + (stop - start) * part
      smu.source["level" .. source] = level
      delay(stime)
      smu.measure[measure](smu.nvbuffer1)
    end
    smu.source["level" .. source] = 0
    smu.source.output = smu.OUTPUT_OFF
  end
end
SweepVLinMeasureI, SweepILinMeasureV = sweep("v", "i"), sweep("i", "v")
SweepVLogMeasureI, SweepILogMeasureV = sweep("v", "i", true), sweep("i", "v", true)

local function list(source, measure)
  return function(smu, levels, stime, points)
    smu.nvbuffer1.clear()
    smu.source.func = source == "v" and smu.OUTPUT_DCVOLTS or smu.OUTPUT_DCAMPS
    smu.source.output = smu.OUTPUT_ON
    smu.nvbuffer1.appendmode = 1
    for i = 1, points do
      smu.source["level" .. source] = levels[i]
      delay(stime)
      smu.measure[measure](smu.nvbuffer1)
    end
    smu.source["level" .. source] = 0
    smu.source.output = smu.OUTPUT_OFF
  end
end
SweepVListMeasureI, SweepIListMeasureV = list("v", "i"), list("i", "v")

local function pulse(source, measure)
  return function(smu, bias, level, ton, toff, points)
    smu.nvbuffer1.clear()
    smu.nvbuffer1.appendmode = 1
    smu.source.output = smu.OUTPUT_ON
    for i = 1, points do
      smu.source["level" .. source] = level
      delay(ton)
      smu.measure[measure](smu.nvbuffer1)
      smu.source["level" .. source] = bias
      delay(toff)
    end
  end
end
PulseVMeasureI, PulseIMeasureV = pulse("v", "i"), pulse("i", "v")

-- event blenders: taken, without effect, since a sweep here is one point after the other whatever blends its events
-- (2600B Reference Manual, trigger.blender)
local blenders = {}
for i = 1, 6 do
  blenders[i] = { orenable = false, stimulus = {}, EVENT_ID = 100 + i, overrun = false, clear = function() end }
end
rawset(trigger, "blender", blenders)
