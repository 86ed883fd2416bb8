using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Tern.Files;
using Tern.Training.Data;

namespace Tern.Training.Runs;

/// <summary>
/// The log of a run, one JSON object per line and step. A run that was cut off may have logged steps behind its last checkpoint; they are taken
/// back when it goes on, since it does them again. Steps that were measured have more members; shares are those of -1, 0 and +1:
/// <code>
/// {"step":40,"loss":4.1,…,"heldOutLoss":4.3,"bitsPerByte":1.9,…,"minus":0.33,"zero":0.34,"plus":0.33,"shares":{"blk.0.attn_q":[0.33,0.35,0.32],…},"sample":"…"}
/// </code>
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
        List<(StepRecord Record, string Line)> kept = steps > 0 && File.Exists(path) ? [.. Read(path).Where(read => read.Record.Step <= steps)] : [];
        AtomicFile.Write(path, stream =>
        {
            foreach ((_, string line) in kept)
                stream.Write(Encoding.UTF8.GetBytes(line + "\n"));
        });
        // Without a buffer: nothing of a line that found no room is tried again when the file is closed.
        return new RunLog(new FileStream(path, FileMode.Append, FileAccess.Write, FileShare.Read, bufferSize: 0), [.. kept.Select(read => read.Record)]);
    }

    /// <summary>Adds a step.</summary>
    /// <exception cref="TernException">The disk is full.</exception>
    public void Add(StepRecord record)
    {
        _records.Add(record);
        try
        {
            _stream.Write(Line(record));
        }
        catch (IOException e)
        {
            throw FileError.Whole(ErrorKind.File, _stream.Name, "file", $"cannot be written: {e.Message}", "make room on the disk; the same command then goes on from the last checkpoint", e);
        }
    }

    public void Dispose() => _stream.Dispose();

    /// <summary>Reads the lines that are whole; the last one may not be.</summary>
    private static IEnumerable<(StepRecord Record, string Line)> Read(string path)
    {
        foreach (string line in File.ReadLines(path))
            if (TryRead(line) is { } record)
                yield return (record, line);
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
                record = record with { HeldOut = new HeldOutScore(Number(loss), Number(root.GetProperty("bitsPerByte")), root.GetProperty("heldOutTokens").GetInt64()) };
            if (root.TryGetProperty("shares", out JsonElement shares))
                record = record with { Shares = new LayerShares([.. shares.EnumerateObject().Select(layer => new CodeShares(layer.Name, layer.Value[0].GetDouble(), layer.Value[1].GetDouble(), layer.Value[2].GetDouble()))]) };
            if (root.TryGetProperty("teacher", out JsonElement teacher))
                record = record with { Teaching = TeachingLog.Read(teacher, record.Loss) };
            return root.TryGetProperty("sample", out JsonElement sample) ? record with { Sample = sample.GetString() } : record;
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException or IndexOutOfRangeException)
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
                WriteNumber(writer, "heldOutLoss", heldOut.Loss);
                WriteNumber(writer, "bitsPerByte", heldOut.BitsPerByte);
                writer.WriteNumber("heldOutTokens", heldOut.Tokens);
            }

            if (record.Shares is { } shares)
            {
                writer.WriteNumber("minus", shares.Mean.Minus);
                writer.WriteNumber("zero", shares.Mean.Zero);
                writer.WriteNumber("plus", shares.Mean.Plus);
                writer.WriteStartObject("shares");
                foreach (CodeShares layer in shares.Layers)
                {
                    writer.WritePropertyName(layer.Name);
                    writer.WriteRawValue(string.Create(CultureInfo.InvariantCulture, $"[{layer.Minus:0.####},{layer.Zero:0.####},{layer.Plus:0.####}]"));
                }

                writer.WriteEndObject();
            }

            if (record.Sample is { } sample)
                writer.WriteString("sample", sample);
            writer.WriteEndObject();
        }

        memory.Write("\n"u8);
        return memory.ToArray();
    }

    /// <summary>JSON has no NaN and no infinity; null stands for both.</summary>
    private static void WriteNumber(Utf8JsonWriter writer, string name, double value)
    {
        if (double.IsFinite(value))
            writer.WriteNumber(name, value);
        else
            writer.WriteNull(name);
    }

    private static double Number(JsonElement value) => value.ValueKind == JsonValueKind.Null ? double.NaN : value.GetDouble();
}
