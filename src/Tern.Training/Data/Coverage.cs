using System.Globalization;
using System.Text;
using Tern.Files;
using Tern.Text;

namespace Tern.Training.Data;

/// <summary>
/// Whether tokens stand for all of a text. A vocabulary without a token for every byte drops what it does not know, or has one unknown token for
/// all of it; a model would learn a text that nobody wrote.
/// </summary>
internal static class Coverage
{
    /// <summary>Refuses tokens that are not the whole text.</summary>
    /// <param name="tokenizer">Made the tokens.</param>
    /// <param name="text">Valid UTF-8.</param>
    /// <param name="ids">Its tokens.</param>
    /// <param name="special">Whether control tokens in the text were read as tokens.</param>
    /// <param name="place">Where the text begins, for the message.</param>
    /// <exception cref="TernException">A character has no token.</exception>
    public static void Check(Tokenizer tokenizer, ReadOnlySpan<byte> text, ReadOnlySpan<int> ids, bool special, string place)
    {
        long covered = 0;
        bool atStart = true, isUnknown = false;
        foreach (int id in ids)
        {
            ReadOnlySpan<byte> bytes = tokenizer.Next(id, special, ref atStart);
            covered += bytes.Length;
            isUnknown |= special && tokenizer.Bytes(id).IsEmpty && text.IndexOf(bytes) < 0;
        }

        if (covered >= text.Length && !isUnknown)
            return;
        int at = FirstUncovered(tokenizer, text, ids, special);
        Rune.DecodeFromUtf8(text[at..], out Rune rune, out _);
        throw new TernException(
            ErrorKind.Request,
            string.Create(CultureInfo.InvariantCulture, $"{place}: the vocabulary does not cover the text: no token stands for {FileError.Quote(rune.ToString())} (U+{rune.Value:X4}), {at} bytes into it; take another tokenizer, or train one on this text with 'tern train-tokenizer', which has a token for every byte"));
    }

    /// <summary>The place where the tokens' bytes leave the text. A space that a tokenizer puts in front of words is none of the text's.</summary>
    private static int FirstUncovered(Tokenizer tokenizer, ReadOnlySpan<byte> text, ReadOnlySpan<int> ids, bool special)
    {
        int at = 0;
        bool atStart = true;
        foreach (int id in ids)
        {
            ReadOnlySpan<byte> bytes = tokenizer.Next(id, special, ref atStart);
            bool isWrong = tokenizer.Bytes(id, special).IsEmpty || !text[at..].StartsWith(bytes);
            if (isWrong && !bytes.IsEmpty && bytes[0] == ' ' && text[at..].StartsWith(bytes[1..]))
            {
                bytes = bytes[1..];
                isWrong = false;
            }

            if (isWrong)
                break;
            at += bytes.Length;
        }

        return Math.Min(at, text.Length - 1);
    }
}
