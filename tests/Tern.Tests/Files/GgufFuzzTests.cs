using System.Buffers.Binary;
using System.Diagnostics;
using Tern.Files;
using Tern.Numerics;

namespace Tern.Tests.Files;

/// <summary>
/// Damaged files by the thousand: each opens or is refused with the one exception, quickly, in memory bounded by its length, and what
/// opens can be read to the last byte of its last tensor.
/// </summary>
public sealed class GgufFuzzTests : IDisposable
{
    private const long AllocatedMax = 64 << 20;
    private const int AllocatedPerByteMax = 16;

    private static readonly TimeSpan s_timeMax = TimeSpan.FromSeconds(1);

    /// <summary>Numbers at which sums and products wrap or signs change.</summary>
    private static readonly ulong[] s_edges =
    [
        0, 1, 2, 3, 7, 8, 9, 31, 32, 33, 63, 65, 127, 128, 255, 256, 65_535, 65_536, (1UL << 31) - 1, 1UL << 31, (1UL << 32) - 1, 1UL << 32,
        (1UL << 62) - 1, (1UL << 63) - 1, 1UL << 63, ulong.MaxValue - 31, ulong.MaxValue - 7, ulong.MaxValue,
    ];

    private static readonly byte[][] s_small = [.. Enumerable.Range(0, 3).Select(seed => GgufImage.Small(seed).Build())];

    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(1, 1000)]
    [InlineData(2, 1000)]
    [InlineData(3, 1000)]
    [InlineData(4, 1000)]
    public void Mutation_opens_or_is_refused(int seed, int count)
    {
        var random = new Random(seed);
        int accepted = 0;
        for (int i = 0; i < count; i++)
            accepted += Survives(Mutate(random), $"seed {seed}, mutation {i}") ? 1 : 0;

        // A fuzzer whose files are all refused, or all accepted, tests nothing.
        Assert.InRange(accepted, count / 50, count * 9 / 10);
    }

    /// <summary>One random bit of header, metadata or tensor infos, as the corpus asks.</summary>
    [Fact]
    public void Flipped_bit_opens_or_is_refused()
    {
        for (int seed = 0; seed < 2000; seed++)
            Survives(MalformedCorpus.Flip(GgufImage.Parse(s_small[0]), seed), $"flip {seed}");
    }

    private bool Survives(byte[] file, string what)
    {
        string path = _folder.Write("mutated.gguf", file);
        bool accepted = Opens(path, file.Length, what, out TimeSpan time);

        // A machine that was busy elsewhere gets a second try.
        if (time >= s_timeMax)
            accepted = Opens(path, file.Length, what, out time);
        Assert.True(time < s_timeMax, $"{what} took {time}");
        return accepted;
    }

    private static bool Opens(string path, int length, string what, out TimeSpan time)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        long start = Stopwatch.GetTimestamp();
        bool accepted = true;
        try
        {
            using var opened = GgufFile.Open(path);
            foreach (Tensor tensor in opened.TensorsInOrder)
                _ = tensor.Bytes(0, 1)[0] + tensor.Bytes(tensor.ByteCount - 1, 1)[0];
        }
        catch (TernException e)
        {
            accepted = false;
            Assert.StartsWith(path, e.Message, StringComparison.Ordinal);
        }
        catch (Exception e) when (e is not Xunit.Sdk.XunitException)
        {
            Assert.Fail($"{what}: {e}");
        }

        time = Stopwatch.GetElapsedTime(start);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.True(allocated < AllocatedMax + ((long)AllocatedPerByteMax * length), $"{what} allocated {allocated} bytes");
        return accepted;
    }

    private static byte[] Mutate(Random random)
    {
        GgufImage image = GgufImage.Parse(s_small[random.Next(3)]);
        if (random.Next(2) == 0)
        {
            for (int n = random.Next(1, 3); n > 0; n--)
                ChangeField(image, random);
            byte[] built = image.Build();
            return random.Next(4) == 0 ? Damage(built, image, random) : built;
        }

        byte[] file = image.Build();
        for (int n = random.Next(1, 4); n > 0 && file.Length > 0; n--)
            file = Damage(file, image, random);
        return file;
    }

    /// <summary>Sets a field of the format to a number that breaks arithmetic, or swaps parts of the structure.</summary>
    private static void ChangeField(GgufImage image, Random random)
    {
        ulong edge = s_edges[random.Next(s_edges.Length)];
        GgufImage.Entry entry = image.Entries[random.Next(image.Entries.Count)];
        GgufImage.Info info = image.Infos[random.Next(image.Infos.Count)];
        GgufImage.Info other = image.Infos[random.Next(image.Infos.Count)];
        switch (random.Next(18))
        {
            case 0: image.TensorCount = edge; break;
            case 1: image.EntryCount = edge; break;
            case 2: image.Version = (uint)edge; break;
            case 3: entry.KeyLength = edge; break;
            case 4: entry.Type = (uint)random.Next(14); break;
            case 5: entry.Key = image.Entries[random.Next(image.Entries.Count)].Key; break;
            case 6 or 7:
                entry.Value = [.. entry.Value];
                for (int at = random.Next(0, 2) * 4; at + 8 <= entry.Value.Length; at += entry.Value.Length)
                    BinaryPrimitives.WriteUInt64LittleEndian(entry.Value.AsSpan(at), edge);
                break;
            case 8: info.NameLength = edge; break;
            case 9: info.Name = other.Name; break;
            case 10: info.Dimensions[random.Next(info.Dimensions.Length)] = edge; break;
            case 11: info.Dimensions = [.. info.Dimensions, .. Enumerable.Repeat(edge, random.Next(1, 4))]; break;
            case 12: info.Type = (uint)random.Next(45); break;
            case 13: info.Type = (uint)edge; break;
            case 14: info.Offset = unchecked(info.Offset + edge); break;
            case 15: (info.Offset, other.Offset) = (other.Offset, info.Offset); break;
            case 16: image.SetU32("general.alignment", (uint)edge); break;
            default:
                image.Infos.Remove(info);
                image.Infos.Insert(random.Next(image.Infos.Count + 1), info);
                break;
        }
    }

    /// <summary>Flips, overwrites, cuts or splices bytes.</summary>
    private static byte[] Damage(byte[] file, GgufImage image, Random random)
    {
        byte[] bytes = [.. file];
        int head = Math.Clamp(image.DataStart, 1, bytes.Length);
        int at = random.Next(head);
        switch (random.Next(6))
        {
            case 0:
                bytes[at] ^= (byte)(1 << random.Next(8));
                return bytes;
            case 1:
                bytes[at] = (byte)random.Next(256);
                return bytes;
            case 2:
                Span<byte> number = stackalloc byte[8];
                BinaryPrimitives.WriteUInt64LittleEndian(number, s_edges[random.Next(s_edges.Length)]);
                number[..Math.Min(8, bytes.Length - at)].CopyTo(bytes.AsSpan(at));
                return bytes;
            case 3:
                return bytes[..random.Next(bytes.Length)];
            case 4:
                int from = random.Next(bytes.Length);
                int count = random.Next(1, Math.Min(64, bytes.Length - from) + 1);
                return [.. bytes[..at], .. bytes[from..(from + count)], .. bytes[at..]];
            default:
                bytes.AsSpan(random.Next(bytes.Length)).Clear();
                return bytes;
        }
    }
}
