namespace Tern.Numerics;

/// <summary>
/// In which order the rows of a stored matrix are handed out. Rotary embedding of adjacent pairs wants the two halves of every head
/// interleaved, which is how GGUF stores q and k of <c>llama</c>, while Hugging Face checkpoints store the halves one after the other:
/// <code>
///   stored        a0 a1 a2 … | b0 b1 b2 …        one head of HeadSize rows
///   handed out    a0 b0 a1 b1 a2 b2 …
/// </code>
/// </summary>
/// <param name="HeadSize">Rows of a head, even, a divisor of the number of rows; 0 hands out rows as they are stored.</param>
internal readonly record struct RowOrder(int HeadSize)
{
    /// <summary>Rows as they are stored.</summary>
    public static RowOrder AsStored => default;

    /// <summary>Whether any row moves.</summary>
    public bool IsAsStored => HeadSize == 0;

    /// <summary>The stored row that is handed out as row <paramref name="row"/>.</summary>
    public long Source(long row)
    {
        if (HeadSize == 0)
            return row;
        long inHead = row % HeadSize;
        return row - inHead + (inHead % 2 * (HeadSize / 2)) + (inHead / 2);
    }
}
