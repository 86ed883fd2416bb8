using System.Buffers;
using System.Text;

namespace Tern.Files;

/// <summary>
/// An array of strings as the file holds it: bytes in one block with offsets, so that 150,000 tokens are two allocations. The bytes
/// should be UTF-8, but a table keeps whatever a file had.
/// <code>
/// bytes    h e l l o w o r l d
/// offsets  0         5         10     string i = bytes[offsets[i] .. offsets[i + 1]]
/// </code>
/// </summary>
/// <param name="bytes">All strings, one after the other.</param>
/// <param name="offsets">Ascending from 0 to the number of bytes; one more than there are strings.</param>
internal sealed class StringTable(byte[] bytes, int[] offsets)
{
    /// <summary>Number of strings.</summary>
    public int Count => offsets.Length - 1;

    /// <summary>The bytes of string <paramref name="index"/>.</summary>
    public ReadOnlySpan<byte> this[int index] => bytes.AsSpan(offsets[index], offsets[index + 1] - offsets[index]);

    /// <summary>String <paramref name="index"/> as text; bytes that are not UTF-8 become U+FFFD.</summary>
    public string Text(int index) => Encoding.UTF8.GetString(this[index]);

    /// <summary>A table of the given strings.</summary>
    public static StringTable From(IEnumerable<string> strings)
    {
        var block = new ArrayBufferWriter<byte>();
        var starts = new List<int> { 0 };
        foreach (string s in strings)
        {
            Encoding.UTF8.GetBytes(s, block);
            starts.Add(block.WrittenCount);
        }

        return new StringTable(block.WrittenSpan.ToArray(), [.. starts]);
    }
}
