using System.Numerics;

namespace Tern.Text;

/// <summary>Byte-pair merges by the ids of their two parts: (left, right) → (rank, merged id), in open addressing with a seeded hash.</summary>
internal sealed class MergeTable
{
    private readonly (ulong KeyPlusOne, int Rank, int Merged)[] _slots;
    private readonly ulong _seed = (ulong)Random.Shared.NextInt64() | 1;
    private readonly int _shift;

    /// <summary>An empty table.</summary>
    /// <param name="capacity">Most merges that will be added.</param>
    public MergeTable(int capacity)
    {
        uint size = BitOperations.RoundUpToPowerOf2((uint)Math.Max(capacity, 8)) * 2;
        _slots = new (ulong, int, int)[size];
        _shift = 64 - BitOperations.Log2(size);
    }

    /// <summary>Adds a merge; of two with the same parts the first counts.</summary>
    public void Add(int left, int right, int rank, int merged)
    {
        ulong key = Key(left, right);
        int slot = Start(key);
        while (_slots[slot].KeyPlusOne != 0)
        {
            if (_slots[slot].KeyPlusOne == key)
                return;
            slot = (slot + 1) & (_slots.Length - 1);
        }

        _slots[slot] = (key, rank, merged);
    }

    /// <summary>The rank of a pair, lower first, or <see cref="int.MaxValue"/>.</summary>
    /// <param name="left">An id, or -1.</param>
    /// <param name="right">An id, or -1.</param>
    /// <param name="merged">The id of the merged token, where there is one.</param>
    public int Rank(int left, int right, out int merged)
    {
        if ((left | right) >= 0)
        {
            ulong key = Key(left, right);
            for (int slot = Start(key); _slots[slot].KeyPlusOne != 0; slot = (slot + 1) & (_slots.Length - 1))
            {
                if (_slots[slot].KeyPlusOne == key)
                {
                    merged = _slots[slot].Merged;
                    return _slots[slot].Rank;
                }
            }
        }

        merged = -1;
        return int.MaxValue;
    }

    private static ulong Key(int left, int right) => (((ulong)(uint)left << 32) | (uint)right) + 1;

    private int Start(ulong key)
    {
        ulong high = Math.BigMul(key ^ _seed, 0x9E37_79B9_7F4A_7C15, out ulong low);
        return (int)((high ^ low) >> _shift);
    }
}
