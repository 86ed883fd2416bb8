using System.Text.Encodings.Web;
using System.Text.Json;
using Tern.Files;
using Tern.Training.Data;

namespace Tern.Training.Runs;

/// <summary>
/// The log of a run, one JSON object per line and step. A run that was cut off may have logged steps behind its last checkpoint; they are taken
/// back when it goes on, since it does them again.
/// </summary>
internal sealed class RunLog : IDisposable
{
    private static readonly JsonWriterOptions s_options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly FileStream _stream;
    private readonly List<StepRecord> _records;

    private RunLog(FileStream stream, List<StepRecord> records) => (_stream, _records) = (stream, records);

    /// <summary>Every step so far.</summary>
    public IReadOnlyList<StepRecord> Records => _records;

    /// <summary>Opens a log.</summary>
    /// <param name="path">The file.</param>
    /// <param name="steps">Steps that were done; what is logged behind them is dropped.</param>
    public static RunLog Open(string path, int steps)
    {
        List<StepRecord> records = steps > 0 && File.Exists(path) ? [.. Read(path).Where(record => record.Step <= steps)] : [];
        AtomicFile.Write(path, stream =>
        {
            foreach (StepRecord record in records)
                stream.Write(Line(record));
        });
        return new RunLog(new FileStream(path, FileMode.Append, FileAccess.Write, FileShare.Read), records);
    }

    /// <summary>Adds a step.</summary>
    public void Add(StepRecord record)
    {
        _records.Add(record);
        _stream.Write(Line(record));
        _stream.Flush();
    }

    public void Dispose() => _stream.Dispose();

    /// <summary>Reads the lines that are whole; the last one may not be.</summary>
    private static IEnumerable<StepRecord> Read(string path)
    {
        foreach (string line in File.ReadLines(path))
            if (TryRead(line) is { } record)
                yield return record;
    }

    private static StepRecord? TryRead(string line)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(line);
            JsonElement root = document.RootElement;
            var record = new StepRecord(
                root.GetProperty("step").GetInt32(),
                root.GetProperty("loss").GetDouble(),
                root.GetProperty("learningRate").GetSingle(),
                root.GetProperty("gradientNorm").GetSingle(),
                root.GetProperty("tokens").GetInt64(),
                root.GetProperty("tokensPerSecond").GetDouble(),
                root.GetProperty("epochs").GetDouble());
            if (root.TryGetProperty("heldOutLoss", out JsonElement loss))
                record = record with { HeldOut = new HeldOutScore(loss.GetDouble(), root.GetProperty("bitsPerByte").GetDouble(), root.GetProperty("heldOutTokens").GetInt64()) };
            if (root.TryGetProperty("minus", out JsonElement minus))
                record = record with { Shares = new CodeShares("all", minus.GetDouble(), root.GetProperty("zero").GetDouble(), root.GetProperty("plus").GetDouble()) };
            if (root.TryGetProperty("teacher", out JsonElement teacher))
                record = record with { Teaching = TeachingLog.Read(teacher, record.Loss) };
            return root.TryGetProperty("sample", out JsonElement sample) ? record with { Sample = sample.GetString() } : record;
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            return null;
        }
    }

    private static byte[] Line(StepRecord record)
    {
        using var memory = new MemoryStream();
        using (var writer = new Utf8JsonWriter(memory, s_options))
        {
            writer.WriteStartObject();
            writer.WriteNumber("step", record.Step);
            writer.WriteNumber("loss", record.Loss);
            writer.WriteNumber("learningRate", record.LearningRate);
            writer.WriteNumber("gradientNorm", record.GradientNorm);
            writer.WriteNumber("tokens", record.Tokens);
            writer.WriteNumber("tokensPerSecond", Math.Round(record.TokensPerSecond, 1));
            writer.WriteNumber("epochs", Math.Round(record.Epochs, 4));
            if (record.Teaching is { } teaching)
                TeachingLog.Write(writer, "teacher", teaching);
            if (record.HeldOut is { } heldOut)
            {
                writer.WriteNumber("heldOutLoss", heldOut.Loss);
                writer.WriteNumber("bitsPerByte", heldOut.BitsPerByte);
                writer.WriteNumber("heldOutTokens", heldOut.Tokens);
            }

            if (record.Shares is { } shares)
            {
                writer.WriteNumber("minus", shares.Minus);
                writer.WriteNumber("zero", shares.Zero);
                writer.WriteNumber("plus", shares.Plus);
            }

            if (record.Sample is { } sample)
                writer.WriteString("sample", sample);
            writer.WriteEndObject();
        }

        memory.Write("\n"u8);
        return memory.ToArray();
    }
}
