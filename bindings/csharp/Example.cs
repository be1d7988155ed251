// argpick from C#, by P/Invoke: the declarations below are those of argpick.h, in its order.
//
//   mcs Example.cs && MONO_PATH=. mono Example.exe      (libargpick.so where the system finds it: LD_LIBRARY_PATH)
//
// Decodes 24 rows with one seed and prints token:rank for each. bindings/cpp/tests/tokens.c does the same in C and prints
// the same line, on every machine.
using System;
using System.Runtime.InteropServices;
using System.Text;

namespace Argpick
{
    /// <summary>Everything that decides what a decoder does with a row: argpick_config.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct Config
    {
        public uint StructSize, Profile;
        public ulong Seed, Stream;
        public uint Mode;
        public float Temperature;
        public uint TopK;
        public float TopP, MinP;
        public uint HistoryCapacity, NoRepeatWindow, MaxTokens, MinKeep, ValidVocab, Metrics, AdjustmentCapacity;

        /// <summary>"Off" everywhere.</summary>
        public static Config Default()
        {
            Config config;
            Native.Check(Native.argpick_config_init(out config, (uint)Marshal.SizeOf(typeof(Config))));
            return config;
        }
    }

    /// <summary>The token picked, and how sure the row was: argpick_pick.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct Pick
    {
        public uint StructSize, Token, Argmax, Rank, Kept, Finish;
        public float Margin, Top1Probability, Entropy, LogprobRaw, Logprob, KeptMass;
    }

    /// <summary>Why a call failed; the message names what, where and the bad value.</summary>
    public sealed class ArgpickException : Exception
    {
        public readonly int Status;

        public ArgpickException(int status, string message) : base(message)
        {
            Status = status;
        }
    }

    static class Native
    {
        const string Library = "argpick";
        public const uint AbiVersion = 0, MetricRank = 8, F32 = 0;

        [DllImport(Library)] public static extern uint argpick_abi_version();
        [DllImport(Library)] public static extern IntPtr argpick_last_error();
        [DllImport(Library)] public static extern int argpick_config_init(out Config config, uint structSize);
        [DllImport(Library)] public static extern int argpick_decoder_new(ref Config config, uint vocab, out DecoderHandle decoder);
        [DllImport(Library)] public static extern void argpick_decoder_free(IntPtr decoder);
        [DllImport(Library)] public static extern int argpick_decoder_set_bans(DecoderHandle decoder, uint[] tokens, UIntPtr count);
        [DllImport(Library)] public static extern int argpick_decoder_set_bias(DecoderHandle decoder, uint[] tokens, float[] biases, UIntPtr count);
        [DllImport(Library)] public static extern int argpick_decode(DecoderHandle decoder, float[] logits, uint dtype, UIntPtr count, uint[] mask, UIntPtr maskWords, ref Pick pick);

        public static void Check(int status)
        {
            if (status != 0) throw new ArgpickException(status, Text(argpick_last_error()));
        }

        // UTF-8 that ends with a zero, of the library's.
        static string Text(IntPtr text)
        {
            int length = 0;
            while (Marshal.ReadByte(text, length) != 0) length++;
            var bytes = new byte[length];
            Marshal.Copy(text, bytes, 0, length);
            return Encoding.UTF8.GetString(bytes);
        }
    }

    /// <summary>Owns an argpick_decoder; the runtime frees it even if nobody disposes of it.</summary>
    public sealed class DecoderHandle : SafeHandle
    {
        public DecoderHandle() : base(IntPtr.Zero, true) { }

        public override bool IsInvalid { get { return handle == IntPtr.Zero; } }

        protected override bool ReleaseHandle()
        {
            Native.argpick_decoder_free(handle);
            return true;
        }
    }

    /// <summary>A sequence being decoded. One thread at a time.</summary>
    public sealed class Decoder : IDisposable
    {
        readonly DecoderHandle handle;

        public Decoder(Config config, uint vocab)
        {
            Native.Check(Native.argpick_decoder_new(ref config, vocab, out handle));
        }

        public void SetBans(params uint[] tokens)
        {
            Native.Check(Native.argpick_decoder_set_bans(handle, tokens, (UIntPtr)tokens.Length));
        }

        public void SetBias(uint[] tokens, float[] biases)
        {
            if (tokens.Length != biases.Length) throw new ArgumentException("there are not as many biases as tokens");
            Native.Check(Native.argpick_decoder_set_bias(handle, tokens, biases, (UIntPtr)tokens.Length));
        }

        /// <summary>Picks a token and records it. mask: null, or bit t % 32 of word t / 32 for each token.</summary>
        public Pick Decode(float[] logits, uint[] mask)
        {
            var pick = new Pick { StructSize = (uint)Marshal.SizeOf(typeof(Pick)) };
            // An empty array may be passed as NULL, which would mean: no mask. One word of nothing says the same.
            if (mask != null && mask.Length == 0) mask = new uint[1];
            var words = (UIntPtr)(mask == null ? 0 : mask.Length);
            Native.Check(Native.argpick_decode(handle, logits, Native.F32, (UIntPtr)logits.Length, mask, words, ref pick));
            return pick;
        }

        public void Dispose()
        {
            handle.Dispose();
        }
    }

    static class Example
    {
        static int Main()
        {
            const int vocab = 1000, steps = 24;
            if (Native.argpick_abi_version() != Native.AbiVersion)
            {
                Console.Error.WriteLine("the library has another ABI than these declarations");
                return 1;
            }
            Config config = Config.Default();
            config.Seed = 2024;
            config.Stream = 3;
            config.Temperature = 0.75f;
            config.TopK = 40;
            config.NoRepeatWindow = 4;
            config.Metrics = Native.MetricRank;
            using (var decoder = new Decoder(config, vocab))
            {
                decoder.SetBans(7, 500);
                decoder.SetBias(new uint[] { 11, 13 }, new float[] { 2.0f, -1.5f });
                // Every fifth word of 32 tokens is not allowed.
                var mask = new uint[(vocab + 31) / 32];
                for (int i = 0; i < mask.Length; i++) mask[i] = i % 5 == 4 ? 0u : 0xffffffffu;
                var row = new float[vocab];
                var line = new StringBuilder();
                for (int step = 0; step < steps; step++)
                {
                    for (int i = 0; i < vocab; i++) row[i] = (i * 7919 + step * 104729) % 1009 / 64.0f;
                    Pick pick = decoder.Decode(row, mask);
                    line.Append(step == 0 ? "" : " ").Append(pick.Token).Append(':').Append(pick.Rank);
                }
                Console.WriteLine(line);

                // Bad input is an exception with a name, and changes nothing.
                row[5] = float.NaN;
                try
                {
                    decoder.Decode(row, mask);
                }
                catch (ArgpickException error)
                {
                    return error.Message.Contains("argpick_decode") ? 0 : 1;
                }
                Console.Error.WriteLine("NaN must be refused");
                return 1;
            }
        }
    }
}
