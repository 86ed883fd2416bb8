namespace Tern.Text;

/// <summary>
/// GPT-2's spelling of bytes as printable characters, in which byte-pair vocabularies are written: the printable characters of Latin-1 stand for
/// themselves, and the other 68 byte values, in order, for U+0100 and on (so a space is U+0120).
/// </summary>
internal static class ByteAlphabet
{
    private static readonly short[] s_byteOf = Build();

    /// <summary>The character that stands for a byte.</summary>
    public static char Spell(byte value) => (char)Array.IndexOf(s_byteOf, value);

    /// <summary>Turns a token's spelling into the bytes it stands for.</summary>
    /// <param name="spelling">UTF-8.</param>
    /// <param name="bytes">Room for as many bytes as the spelling has.</param>
    /// <param name="count">Bytes written.</param>
    /// <returns>False when the spelling has a character that stands for no byte.</returns>
    public static bool TryDecode(ReadOnlySpan<byte> spelling, Span<byte> bytes, out int count)
    {
        count = 0;
        for (int i = 0; i < spelling.Length; i++)
        {
            // All characters of the alphabet lie below U+0144: one byte, or two bytes with a lead from C2 to C5.
            int character = spelling[i];
            if (character >= 0x80)
            {
                if (character is < 0xC2 or > 0xC5 || i + 1 >= spelling.Length || (spelling[i + 1] & 0xC0) != 0x80)
                    return false;
                character = ((character & 0x1F) << 6) | (spelling[++i] & 0x3F);
            }

            int value = (uint)character < (uint)s_byteOf.Length ? s_byteOf[character] : -1;
            if (value < 0)
                return false;
            bytes[count++] = (byte)value;
        }

        return true;
    }

    private static short[] Build()
    {
        var byteOf = new short[0x144];
        Array.Fill(byteOf, (short)-1);
        int next = 0x100;
        for (int value = 0; value < 256; value++)
        {
            bool printable = value is (>= 0x21 and <= 0x7E) or (>= 0xA1 and <= 0xAC) or >= 0xAE;
            byteOf[printable ? value : next++] = (short)value;
        }

        return byteOf;
    }
}
