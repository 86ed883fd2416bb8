using System.Buffers;
using System.Text;

namespace Tern.Text;

/// <summary>
/// Token ids to text piece by piece, holding back bytes until they are whole characters. All pieces together are what <see cref="Tokenizer.Decode"/>
/// gives for all ids.
/// </summary>
/// <param name="tokenizer">The model's tokenizer.</param>
/// <param name="special">Whether control tokens give their text.</param>
/// <param name="continues">Whether the text goes on from one before, so that a leading space is part of it.</param>
internal sealed class StreamingDecoder(Tokenizer tokenizer, bool special = false, bool continues = false)
{
    private readonly StringBuilder _text = new();
    private readonly byte[] _held = new byte[4];
    private int _heldCount;
    private bool _atStart = !continues;

    /// <summary>Text that became complete with this token; often empty inside a character.</summary>
    public string Append(int id)
    {
        Append(id, _text);
        if (_text.Length == 0)
            return "";
        string text = _text.ToString();
        _text.Clear();
        return text;
    }

    /// <summary>As <see cref="Append(int)"/>, into a buffer.</summary>
    public void Append(int id, StringBuilder text)
    {
        ReadOnlySpan<byte> bytes = tokenizer.Next(id, special, ref _atStart);

        // First the character that is held, byte by byte: it becomes whole, or proves to be broken, after at most three.
        Span<char> characters = stackalloc char[2];
        while (_heldCount > 0 && !bytes.IsEmpty)
        {
            _held[_heldCount++] = bytes[0];
            OperationStatus status = Rune.DecodeFromUtf8(_held.AsSpan(0, _heldCount), out Rune character, out int consumed);
            if (status == OperationStatus.NeedMoreData)
            {
                bytes = bytes[1..];
                continue;
            }

            // A byte that breaks the character is no part of it and is read again.
            if (consumed == _heldCount)
                bytes = bytes[1..];
            text.Append(characters[..character.EncodeToUtf16(characters)]);
            _heldCount = 0;
        }

        int whole = bytes.Length - IncompleteTail(bytes);
        AppendWhole(bytes[..whole], text);
        foreach (byte value in bytes[whole..])
            _held[_heldCount++] = value;
    }

    /// <summary>What is left at the end, incomplete bytes as U+FFFD.</summary>
    public string Flush()
    {
        string rest = Encoding.UTF8.GetString(_held, 0, _heldCount);
        _heldCount = 0;
        return rest;
    }

    private static void AppendWhole(ReadOnlySpan<byte> bytes, StringBuilder text)
    {
        // Never more UTF-16 units than bytes; nearly all tokens are short.
        const int Short = 128;
        if (bytes.Length > Short)
        {
            text.Append(Encoding.UTF8.GetString(bytes));
            return;
        }

        Span<char> characters = stackalloc char[Short];
        text.Append(characters[..Encoding.UTF8.GetChars(bytes, characters)]);
    }

    /// <summary>Number of bytes at the end that may be the beginning of a character, 0 to 3.</summary>
    private static int IncompleteTail(ReadOnlySpan<byte> bytes)
    {
        for (int length = 1; length <= Math.Min(3, bytes.Length); length++)
        {
            ReadOnlySpan<byte> tail = bytes[^length..];
            if ((tail[0] & 0xC0) != 0x80)
                return Rune.DecodeFromUtf8(tail, out _, out _) == OperationStatus.NeedMoreData ? length : 0;
        }

        return 0;
    }
}
