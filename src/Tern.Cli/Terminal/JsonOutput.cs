using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Tern.Cli.Terminal;

/// <summary>
/// JSON on standard output, a whole document at a time, so that an error never leaves half of one behind: UTF-8 without escapes beyond what
/// JSON demands, floats with all their digits.
/// </summary>
internal sealed class JsonOutput : IDisposable
{
    private static readonly JsonWriterOptions s_compact = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = false };
    private static readonly JsonWriterOptions s_indented = s_compact with { Indented = true };

    private readonly ArrayBufferWriter<byte> _document = new();
    private readonly Stream _stream = Console.OpenStandardOutput();

    /// <param name="indented">For documents that people may read, too.</param>
    public JsonOutput(bool indented = false) => Writer = new Utf8JsonWriter(_document, indented ? s_indented : s_compact);

    public Utf8JsonWriter Writer { get; }

    /// <summary>[1,2,3]</summary>
    public void WriteNumbers(ReadOnlySpan<int> numbers)
    {
        Writer.WriteStartArray();
        foreach (int number in numbers)
            Writer.WriteNumberValue(number);
        Writer.WriteEndArray();
    }

    /// <summary>[1.5,2,3]</summary>
    public void WriteNumbers(ReadOnlySpan<float> numbers)
    {
        Writer.WriteStartArray();
        foreach (float number in numbers)
            Writer.WriteNumberValue(number);
        Writer.WriteEndArray();
    }

    /// <summary>Ends the document with a line break, sends it off and makes the writer ready for another one.</summary>
    public void EndLine()
    {
        Writer.Flush();
        _document.Write("\n"u8);
        _stream.Write(_document.WrittenSpan);
        _stream.Flush();
        _document.ResetWrittenCount();
        Writer.Reset();
    }

    public void Dispose()
    {
        Writer.Dispose();
        _stream.Dispose();
    }
}
