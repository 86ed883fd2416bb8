using System.Buffers.Binary;
using System.Numerics;
using Tern.Files;

namespace Tern.Text;

/// <summary>
/// Token ids by their bytes: open addressing over a <see cref="StringTable"/>, so that a span of text is looked up without becoming a string.
/// The hash is seeded per table, because the tokens of a hostile file could otherwise be chosen to collide.
/// </summary>
internal sealed class TokenTable
{
    private const ulong Multiplier = 0x9E37_79B9_7F4A_7C15;

    private readonly StringTable _tokens;
    private readonly (uint Hash, int IdPlusOne)[] _slots;
    private readonly ulong _seed = (ulong)Random.Shared.NextInt64();

    /// <summary>An empty table.</summary>
    /// <param name="tokens">The bytes of every id.</param>
    public TokenTable(StringTable tokens)
    {
        _tokens = tokens;
        _slots = new (uint, int)[BitOperations.RoundUpToPowerOf2((uint)Math.Max(tokens.Count, 8)) * 2];
    }

    /// <summary>Length of the longest token in the table, in bytes.</summary>
    public int LongestBytes { get; private set; }

    /// <summary>A hash for <see cref="Find(ReadOnlySpan{byte}, uint)"/>.</summary>
    public uint Hash(ReadOnlySpan<byte> bytes)
    {
        ulong hash = _seed ^ ((ulong)bytes.Length * Multiplier);
        for (; bytes.Length > 8; bytes = bytes[8..])
            hash = Mix(hash ^ BinaryPrimitives.ReadUInt64LittleEndian(bytes));

        // Of the last one to eight bytes, two overlapping reads see every one.
        ulong tail = bytes.Length switch
        {
            >= 4 => BinaryPrimitives.ReadUInt32LittleEndian(bytes) | ((ulong)BinaryPrimitives.ReadUInt32LittleEndian(bytes[^4..]) << 32),
            > 0 => bytes[0] | ((ulong)bytes[bytes.Length >> 1] << 8) | ((ulong)bytes[^1] << 16),
            _ => 0,
        };
        hash = Mix(hash ^ tail);
        return (uint)(hash ^ (hash >> 32));
    }

    /// <summary>Puts a token in; returns the id that already has these bytes, or -1.</summary>
    public int Add(int id)
    {
        ReadOnlySpan<byte> bytes = _tokens[id];
        uint hash = Hash(bytes);
        for (int slot = (int)hash & (_slots.Length - 1); ; slot = (slot + 1) & (_slots.Length - 1))
        {
            if (_slots[slot].IdPlusOne == 0)
            {
                _slots[slot] = (hash, id + 1);
                LongestBytes = Math.Max(LongestBytes, bytes.Length);
                return -1;
            }

            if (_slots[slot].Hash == hash && _tokens[_slots[slot].IdPlusOne - 1].SequenceEqual(bytes))
                return _slots[slot].IdPlusOne - 1;
        }
    }

    /// <summary>The id of these bytes, or -1.</summary>
    public int Find(ReadOnlySpan<byte> bytes) => bytes.Length > LongestBytes ? -1 : Find(bytes, Hash(bytes));

    /// <summary>The id of these bytes, or -1.</summary>
    public int Find(ReadOnlySpan<byte> bytes, uint hash)
    {
        for (int slot = (int)hash & (_slots.Length - 1); ; slot = (slot + 1) & (_slots.Length - 1))
        {
            (uint slotHash, int idPlusOne) = _slots[slot];
            if (idPlusOne == 0)
                return -1;
            if (slotHash == hash && _tokens[idPlusOne - 1].SequenceEqual(bytes))
                return idPlusOne - 1;
        }
    }

    private static ulong Mix(ulong value)
    {
        ulong high = Math.BigMul(value, Multiplier, out ulong low);
        return high ^ low;
    }
}
