using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;
using Tern.Files;
using Tern.Machine;

namespace Tern.Training.Checkpoints;

/// <summary>What the head of a checkpoint says.</summary>
/// <param name="Shape">The model.</param>
/// <param name="Recipe">How it is trained.</param>
/// <param name="Seed">Of weights and rounding; with the step it is the whole state of the random numbers.</param>
/// <param name="StepsDone">Optimizer steps.</param>
/// <param name="Arrays">Flat arrays in the file: 1 weights; 3 with moments; 4 with the moving average.</param>
/// <param name="DataBytes">Bytes of the caller's own state.</param>
internal sealed record CheckpointHeader(ModelShape Shape, TrainingRecipe Recipe, ulong Seed, int StepsDone, int Arrays, int DataBytes)
{
    /// <summary>Floats of one flat array.</summary>
    [JsonIgnore]
    public long Floats => Shape.Parameters;
}

/// <summary>
/// One file that holds a training run. All numbers are little-endian.
/// <code>
///   offset 0    "TERNCKPT"
///          8    uint32 version = 1
///         12    uint32 bytes of the header
///         16    header: JSON of CheckpointHeader
///               the caller's state, DataBytes
///               float32 × Floats, once per array: weights [, first moments, second moments [, moving average]]
///   end - 32    SHA-256 of everything before
/// </code>
/// The length follows from the header, so a truncated file is refused before anything is allocated; the hash refuses every other change.
/// </summary>
internal static class Checkpoint
{
    public const int ArraysWithMoments = 3;
    public const int ArraysWithAverage = 4;

    private const uint Version = 1;
    private const int FixedBytes = 16;
    private const int HeaderBytesMax = 1 << 20;
    private const int DataBytesMax = 1 << 28;
    private const int HashBytes = SHA256.HashSizeInBytes;
    private const int Piece = 1 << 18;
    private const string Remedy = "take an older checkpoint of the run or start anew";

    /// <summary>Writes a checkpoint; the name never stands for half of one.</summary>
    public static void Write(string path, CheckpointHeader header, ReadOnlySpan<byte> data, IReadOnlyList<NativeBuffer<float>> arrays)
    {
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(header, TrainingJson.Default.CheckpointHeader);
        byte[] caller = data.ToArray();
        AtomicFile.Write(path, stream =>
        {
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            byte[] start = new byte[FixedBytes];
            "TERNCKPT"u8.CopyTo(start);
            BinaryPrimitives.WriteUInt32LittleEndian(start.AsSpan(8), Version);
            BinaryPrimitives.WriteUInt32LittleEndian(start.AsSpan(12), (uint)json.Length);
            Put(start);
            Put(json);
            Put(caller);
            foreach (NativeBuffer<float> array in arrays)
                for (long done = 0; done < array.Count; done += Piece)
                    Put(Littles.Bytes(array.Part(done, (int)Math.Min(Piece, array.Count - done))));
            stream.Write(hash.GetHashAndReset());

            void Put(ReadOnlySpan<byte> bytes)
            {
                stream.Write(bytes);
                hash.AppendData(bytes);
            }
        });
    }

    /// <summary>The header alone, with the length of the file checked against it.</summary>
    /// <exception cref="TernException">Missing, damaged, or not a checkpoint.</exception>
    public static CheckpointHeader Describe(string path)
    {
        using FileStream stream = Open(path);
        return Guarded(path, () => ReadHeader(path, stream, null));
    }

    /// <summary>Reads a checkpoint.</summary>
    /// <param name="path">The file.</param>
    /// <param name="allocate">Gives the arrays to fill, as many as the header says, each of its number of floats.</param>
    /// <param name="data">The caller's state.</param>
    /// <exception cref="TernException">Missing, damaged, or not a checkpoint.</exception>
    public static CheckpointHeader Read(string path, Func<CheckpointHeader, IReadOnlyList<NativeBuffer<float>>> allocate, out byte[] data)
    {
        using FileStream stream = Open(path);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] caller = [];
        CheckpointHeader header = Guarded(path, () =>
        {
            CheckpointHeader read = ReadHeader(path, stream, hash);
            caller = new byte[read.DataBytes];
            Take(caller);
            foreach (NativeBuffer<float> array in allocate(read))
                for (long done = 0; done < array.Count; done += Piece)
                    Take(Littles.Bytes(array.Part(done, (int)Math.Min(Piece, array.Count - done))));
            long end = stream.Position;
            Span<byte> stored = stackalloc byte[HashBytes];
            stream.ReadExactly(stored);
            if (!stored.SequenceEqual(hash.GetHashAndReset()))
                throw FileError.At(ErrorKind.Format, path, end, "SHA-256", "the file's contents do not have the hash that was stored with them: it is damaged", Remedy);
            return read;
        });
        data = caller;
        return header;

        void Take(Span<byte> bytes)
        {
            stream.ReadExactly(bytes);
            hash.AppendData(bytes);
        }
    }

    private static CheckpointHeader ReadHeader(string path, FileStream stream, IncrementalHash? hash)
    {
        byte[] start = new byte[FixedBytes];
        if (stream.Length < FixedBytes + HashBytes)
            throw Wrong(0, "length", string.Create(CultureInfo.InvariantCulture, $"{stream.Length} bytes are too few for a checkpoint"));
        stream.ReadExactly(start);
        if (!start.AsSpan(0, 8).SequenceEqual("TERNCKPT"u8))
            throw Wrong(0, "magic", "the file does not begin with TERNCKPT: it is no checkpoint of a training run");
        uint version = BinaryPrimitives.ReadUInt32LittleEndian(start.AsSpan(8));
        if (version != Version)
            throw Wrong(8, "version", string.Create(CultureInfo.InvariantCulture, $"{version} is not known, only {Version}"));
        uint headerBytes = BinaryPrimitives.ReadUInt32LittleEndian(start.AsSpan(12));
        if (headerBytes > HeaderBytesMax || headerBytes > stream.Length - FixedBytes - HashBytes)
            throw Wrong(12, "header length", string.Create(CultureInfo.InvariantCulture, $"{headerBytes} bytes are more than the file or the limit of {HeaderBytesMax}"));

        byte[] json = new byte[headerBytes];
        stream.ReadExactly(json);
        CheckpointHeader header = Parse(path, json);
        Int128 expected = FixedBytes + (Int128)headerBytes + header.DataBytes + ((Int128)header.Arrays * header.Floats * sizeof(float)) + HashBytes;
        if (expected != stream.Length)
            throw Wrong(FixedBytes, "length", string.Create(CultureInfo.InvariantCulture, $"the header asks for {expected} bytes, the file has {stream.Length}"));
        hash?.AppendData(start);
        hash?.AppendData(json);
        return header;

        TernException Wrong(long offset, string field, string what) => FileError.At(ErrorKind.Format, path, offset, field, what, Remedy);
    }

    private static CheckpointHeader Parse(string path, byte[] json)
    {
        CheckpointHeader header;
        try
        {
            header = JsonSerializer.Deserialize(json, TrainingJson.Default.CheckpointHeader) ?? throw new JsonException("null");
        }
        catch (JsonException e)
        {
            throw FileError.At(ErrorKind.Format, path, FixedBytes + (e.BytePositionInLine ?? 0), "header", $"is not the JSON of a checkpoint (at {e.Path ?? "$"})", Remedy);
        }

        header.Shape.Validate(path);
        header.Recipe.Validate(path);
        bool arraysFit = header.Arrays == 1 || header.Arrays == (header.Recipe.AverageDecay > 0 ? ArraysWithAverage : ArraysWithMoments);
        if (!arraysFit || header.StepsDone < 0 || header.DataBytes is < 0 or > DataBytesMax || (header.StepsDone > 0 && header.Arrays == 1))
            throw FileError.At(ErrorKind.Format, path, FixedBytes, "header", string.Create(CultureInfo.InvariantCulture, $"arrays {header.Arrays}, stepsDone {header.StepsDone}, dataBytes {header.DataBytes} cannot be"), Remedy);
        return header;
    }

    private static FileStream Open(string path)
    {
        try
        {
            return new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 1 << 16);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw FileError.Whole(ErrorKind.File, path, "file", $"cannot be opened: {e.Message}", "check the path", e);
        }
    }

    private static T Guarded<T>(string path, Func<T> read)
    {
        try
        {
            return read();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw FileError.Whole(ErrorKind.File, path, "file", $"cannot be read: {e.Message}", "check the disk", e);
        }
    }
}
