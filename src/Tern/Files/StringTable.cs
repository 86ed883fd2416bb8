using System.Text;

namespace Tern.Files;

/// <summary>An array of strings as the file holds it: UTF-8 bytes in one block with offsets, so that 150,000 tokens are two allocations.</summary>
internal sealed class StringTable(byte[] bytes, int[] offsets)
{
    /// <summary>Number of strings.</summary>
    public int Count => offsets.Length - 1;

    /// <summary>The bytes of string <paramref name="index"/>.</summary>
    public ReadOnlySpan<byte> this[int index] => bytes.AsSpan(offsets[index], offsets[index + 1] - offsets[index]);

    /// <summary>String <paramref name="index"/> as text.</summary>
    public string Text(int index) => Encoding.UTF8.GetString(this[index]);

    /// <summary>A table of the given strings.</summary>
    public static StringTable From(IEnumerable<string> strings)
    {
        var block = new List<byte>();
        var starts = new List<int> { 0 };
        foreach (string s in strings)
        {
            block.AddRange(Encoding.UTF8.GetBytes(s));
            starts.Add(block.Count);
        }

        return new StringTable([.. block], [.. starts]);
    }
}
