using System.Runtime.InteropServices;
using System.Text.Json;
using Tern.Numerics;

namespace Tern.Tests.Numerics;

/// <summary>The decoders against vectors of an independent implementation.</summary>
public sealed class GoldenBlockTests
{
    private static readonly Lazy<JsonDocument> s_golden = new(() => JsonDocument.Parse(File.ReadAllBytes(SharedData.File("goldens", "kernels.json"))));

    [SharedFact]
    public void Blocks_decode_to_the_golden_values()
    {
        int checkedBlocks = 0;
        foreach (JsonElement entry in s_golden.Value.RootElement.GetProperty("block_decode").EnumerateArray())
        {
            string name = entry.GetProperty("name").GetString()!;
            byte[] bytes = entry.GetProperty("bytes").GetBytesFromBase64();
            double[] expected = [.. entry.GetProperty("values").EnumerateArray().Select(value => value.GetDouble())];
            TensorType type = TensorType.All.Single(t =>
                t.GgufId == entry.GetProperty("type_id").GetInt32() && t.ByteCount((UInt128)expected.Length, 1) == (UInt128)bytes.Length);
            using SampleTensor sample = new(type, bytes, expected.Length, 1);
            float[] actual = sample.Decode();
            int block = Math.Max(type.BlockSize, 32);
            for (int start = 0; start < expected.Length; start += block)
            {
                int end = Math.Min(start + block, expected.Length);
                double largest = expected[start..end].Max(Math.Abs);
                for (int i = start; i < end; i++)
                    Assert.True(Math.Abs(expected[i] - actual[i]) <= 1e-6 * largest, $"{name} [{i}]: expected {expected[i]}, got {actual[i]}");
            }

            checkedBlocks++;
        }

        Assert.True(checkedBlocks >= 17);
    }

    [SharedFact]
    public void Packed_trits_decode_to_the_golden_trits_and_encode_to_the_golden_bytes()
    {
        foreach (JsonElement entry in s_golden.Value.RootElement.GetProperty("ternary_dot").EnumerateArray())
        {
            string name = entry.GetProperty("name").GetString()!;
            sbyte[] trits = MemoryMarshal.Cast<byte, sbyte>(entry.GetProperty("trits_i8").GetBytesFromBase64()).ToArray();
            float[] weights = [.. trits.Select(trit => (float)trit)];
            foreach ((string field, TensorType type) in new (string, TensorType)[]
            {
                ("i2_s", TensorType.I2S), ("tq1_0", TensorType.TQ1_0), ("tq2_0", TensorType.TQ2_0), ("q2_0", TensorType.Q2_0),
            })
            {
                if (!entry.TryGetProperty(field, out JsonElement packed))
                    continue;

                byte[] bytes = packed.GetBytesFromBase64();
                if (type == TensorType.I2S)
                    bytes = [.. bytes, .. BitConverter.GetBytes(1f), .. new byte[28]];
                using SampleTensor sample = new(type, bytes, trits.Length, 1);
                Assert.True(weights.AsSpan().SequenceEqual(sample.Decode()), $"{name} {field}");
                if (type is TernaryType)
                {
                    sbyte[] codes = new sbyte[trits.Length];
                    type.DecodeCodes(sample.Tensor, 0, codes);
                    Assert.True(trits.AsSpan().SequenceEqual(codes), $"{name} {field} codes");
                }

                // Scale 1 throughout, except that a block of zeros would be written with scale 0.
                using SampleTensor encoded = SampleTensor.Encode(type, weights, trits.Length);
                Assert.True(weights.AsSpan().SequenceEqual(encoded.Decode()), $"{name} {field} encoded");
            }
        }
    }
}
