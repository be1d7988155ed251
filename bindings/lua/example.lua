-- argpick from LuaJIT, by its FFI, from the header alone: no binding to build.
--
--   luajit example.lua [path of argpick.h] [path of libargpick.so]
--
-- Decodes 24 rows with one seed and prints token:rank for each. bindings/cpp/tests/tokens.c does the same in C and prints
-- the same line, on every machine.

local ffi = require("ffi")

-- What ffi.cdef can read of a C header: declarations. Comments, the preprocessor's lines and what only C++ sees go;
-- constants become declarations.
local function declarations(path)
  local file = assert(io.open(path, "r"))
  local text = file:read("*a")
  file:close()
  text = text:gsub("/%*.-%*/", " "):gsub("//[^\n]*", ""):gsub("\\\n", " ")
  text = text:gsub("#ifdef __cplusplus.-#endif[^\n]*", "")
  local constants = {}
  for name, value in text:gmatch("#define[ \t]+(ARGPICK_[%w_]+)[ \t]+(%-?%d+)%s") do
    constants[#constants + 1] = ("static const int %s = %s;"):format(name, value)
  end
  text = ("\n" .. text):gsub("\n[ \t]*#[^\n]*", "\n")
  return table.concat(constants, "\n") .. "\n" .. text
end

local here = arg[0]:match("^(.*)/[^/]*$") or "."
ffi.cdef(declarations(arg[1] or here .. "/../../include/argpick.h"))
local C = ffi.load(arg[2] or "argpick")

local function check(status)
  if status ~= C.ARGPICK_OK then error(ffi.string(C.argpick_last_error()), 2) end
end

assert(C.argpick_abi_version() == C.ARGPICK_ABI_VERSION, "the library has another ABI than the header")

local VOCAB, STEPS = 1000, 24
local WORDS = math.ceil(VOCAB / 32)

local config = ffi.new("argpick_config")
check(C.argpick_config_init(config, ffi.sizeof(config)))
config.seed = 2024
config.stream = 3
config.temperature = 0.75
config.top_k = 40
config.no_repeat_window = 4
config.metrics = C.ARGPICK_METRIC_RANK

local out = ffi.new("argpick_decoder *[1]")
check(C.argpick_decoder_new(config, VOCAB, out))
-- The collector frees it when the last reference is gone.
local decoder = ffi.gc(out[0], C.argpick_decoder_free)

check(C.argpick_decoder_set_bans(decoder, ffi.new("uint32_t[2]", 7, 500), 2))
check(C.argpick_decoder_set_bias(decoder, ffi.new("uint32_t[2]", 11, 13), ffi.new("float[2]", 2.0, -1.5), 2))

-- Every fifth word of 32 tokens is not allowed.
local mask = ffi.new("uint32_t[?]", WORDS)
for i = 0, WORDS - 1 do mask[i] = i % 5 == 4 and 0 or 0xffffffff end

local row = ffi.new("float[?]", VOCAB)
local pick = ffi.new("argpick_pick")
pick.struct_size = ffi.sizeof(pick)
local tokens = {}
for step = 0, STEPS - 1 do
  for i = 0, VOCAB - 1 do row[i] = ((i * 7919 + step * 104729) % 1009) / 64 end
  check(C.argpick_decode(decoder, row, C.ARGPICK_F32, VOCAB, mask, WORDS, pick))
  tokens[#tokens + 1] = ("%d:%d"):format(pick.token, pick.rank)
end
print(table.concat(tokens, " "))

-- Bad input is an error with a name, and changes nothing.
row[5] = 0 / 0
local fine, message = pcall(function()
  check(C.argpick_decode(decoder, row, C.ARGPICK_F32, VOCAB, mask, WORDS, pick))
end)
assert(not fine and message:find("argpick_decode", 1, true), "NaN must be refused")
